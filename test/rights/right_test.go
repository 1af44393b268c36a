package rights

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const operatorUser = "system:serviceaccount:" + testenv.OperatorNamespace + ":" + testenv.OperatorServiceAccount

// right is a verb on a resource, with its group and subresource; of one object if name is set.
type right struct{ verb, resource, name string }

func (r right) String() string {
	return strings.TrimSuffix(fmt.Sprintf("%s %s %s", r.verb, r.resource, r.name), " ")
}

// resourceOf is a resource with its group, as kubectl writes it.
func resourceOf(resource, group string) string {
	name, subresource, _ := strings.Cut(resource, "/")
	if group != "" {
		name += "." + group
	}
	return strings.TrimSuffix(name+"/"+subresource, "/")
}

// granted are the rights of the Roles that are generated from the markers beside the code. What the operator reads to judge
// outcomes comes from other roles, and is up to what trails record.
func granted(objects []*unstructured.Unstructured) (map[right]bool, error) {
	rights := map[right]bool{}
	for _, object := range objects {
		if object.GetName() != "trailkeeper-manager" || object.GetKind() != "ClusterRole" && object.GetKind() != "Role" {
			continue
		}
		var role rbacv1.ClusterRole // A Role has no more than it.
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &role); err != nil {
			return nil, fmt.Errorf("reading a role: %w", err)
		}
		for _, rule := range role.Rules {
			add(rights, &rule)
		}
	}
	return rights, nil
}

func add(rights map[right]bool, rule *rbacv1.PolicyRule) {
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				for _, name := range names {
					rights[right{verb, resourceOf(resource, group), name}] = true
				}
			}
		}
	}
}

// used are the rights that the operator made use of, by name and without.
func used(entries []testenv.AuditEntry) map[right]bool {
	rights := map[right]bool{}
	for i := range entries {
		entry := &entries[i]
		if entry.User.Username != operatorUser || entry.ObjectRef.Resource == "" {
			continue
		}
		resource := entry.ObjectRef.Resource
		if entry.ObjectRef.Subresource != "" {
			resource += "/" + entry.ObjectRef.Subresource
		}
		resource = resourceOf(resource, entry.ObjectRef.APIGroup)
		for _, verb := range verbsOf(entry) {
			rights[right{verb, resource, ""}] = true
			rights[right{verb, resource, entry.ObjectRef.Name}] = true
		}
	}
	return rights
}

// verbsOf are the verbs that a request shows to be needed. A watch that begins with what there is replaces a list, which is made
// where the API server does not know such watches: before Kubernetes 1.34, or with the feature WatchList off.
func verbsOf(entry *testenv.AuditEntry) []string {
	if entry.Verb == "watch" && strings.Contains(entry.RequestURI, "sendInitialEvents=true") {
		return []string{"watch", "list"}
	}
	return []string{entry.Verb}
}

// refused are the requests that the operator had no right to, in words.
func refused(entries []testenv.AuditEntry) []string {
	found := map[string]bool{}
	for i := range entries {
		entry := &entries[i]
		if entry.User.Username != operatorUser || entry.ResponseStatus.Code != 403 || !strings.Contains(entry.ResponseStatus.Message, "cannot") {
			continue
		}
		found[fmt.Sprintf("%s %s/%s: %s", entry.Verb, entry.ObjectRef.Namespace, entry.ObjectRef.Name, entry.ResponseStatus.Message)] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// unused are the granted rights that nobody used, in words.
func unused(granted, used map[right]bool) []string {
	var left []string
	for r := range granted {
		if !used[r] {
			left = append(left, r.String())
		}
	}
	slices.Sort(left)
	return left
}
