package rules_test

import (
	"math/rand/v2"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

// random draws trails and requests from a small vocabulary, so that rules often match.
type random struct {
	*rand.Rand
	// word is one more that names may be; none when it is empty.
	word string
}

var (
	groupNames     = []string{"", "apps", "rbac.authorization.k8s.io", "authorization.k8s.io", "audit.trailkeeper.dev"}
	resourceNames  = []string{"pods", "deployments", "namespaces", "nodes"}
	subNames       = []string{"", "", "scale", "status", "exec"}
	namespaceNames = []string{"prod", "dev", "dev-2", "kube-system", operatorNamespace}
	objectNames    = []string{"web", "web-1", "prod", "kube-system", `it's "quoted" \ and ünïcode`}
	usernames      = []string{
		"alice", "system:node:n1", "system:apiserver", "system:kube-proxy", "system:serviceaccount:kube-system:gc",
		"system:serviceaccount:prod:app", "o'brien\n\"x\" || true", rules.ServiceAccountUsername(operatorNamespace), "",
	}
	kindNames  = []string{"Pod", "Deployment", "virtualCluster", "Scale", "KIND-2"}
	managers   = []string{"", "helm", "kubectl-edit", "kubectl-client-side-apply", `o'brien "x"`}
	userGroups = []string{"system:nodes", "system:masters", "dev-team", "o'brien"}
	verbs      = []string{"CREATE", "UPDATE", "DELETE", "CONNECT"}
)

func (r random) one(list []string) string { return list[r.IntN(len(list))] }

// name is one of the list, or the word.
func (r random) name(list []string) string {
	if r.word != "" && r.IntN(4) == 0 {
		return r.word
	}
	return r.one(list)
}

// some are up to three of the list, seldom any, often with a wildcard.
func (r random) some(list []string, odds int) []string {
	if r.IntN(odds) != 0 {
		return nil
	}
	var chosen []string
	for range 1 + r.IntN(3) {
		name := r.name(list)
		if r.IntN(3) == 0 {
			runes := []rune(name)
			name = string(runes[:r.IntN(len(runes)+1)]) + "*"
		}
		if name != "" {
			chosen = append(chosen, name)
		}
	}
	return chosen
}

func (r random) rule() v1alpha1.Rule {
	levels := []v1alpha1.Level{v1alpha1.LevelNone, v1alpha1.LevelNone, v1alpha1.LevelMetadata, v1alpha1.LevelChanges}
	rule := v1alpha1.Rule{
		Level:      levels[r.IntN(len(levels))],
		Users:      r.some(usernames, 4),
		Groups:     r.some(userGroups, 5),
		Names:      r.some(objectNames, 4),
		Namespaces: random{r.Rand, ""}.some(namespaceNames, 3),
	}
	if r.IntN(4) == 0 {
		for range 1 + r.IntN(2) {
			rule.Kinds = append(rule.Kinds, r.anyCase(r.one(kindNames)))
		}
	}
	rule.FieldManagers = r.some(managers[1:], 5)
	if r.IntN(3) == 0 {
		for _, operation := range []v1alpha1.Operation{"Create", "Update", "Delete", "Connect"} {
			if r.IntN(2) == 0 {
				rule.Operations = append(rule.Operations, operation)
			}
		}
	}
	if r.IntN(3) == 0 {
		for _, actor := range []v1alpha1.ActorType{"User", "ServiceAccount", "Node", "ControlPlane"} {
			if r.IntN(2) == 0 {
				rule.Actors = append(rule.Actors, actor)
			}
		}
	}
	if rule.Namespaces == nil && r.IntN(4) == 0 {
		rule.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"tier": r.one([]string{"gold", "tin"})}}
	}
	if r.IntN(3) != 0 {
		for range 1 + r.IntN(2) {
			rule.Resources = append(rule.Resources, r.resources())
		}
	}
	return rule
}

// anyCase is the name with some letters' case changed.
func (r random) anyCase(name string) string {
	switch r.IntN(3) {
	case 0:
		return strings.ToLower(name)
	case 1:
		return strings.ToUpper(name)
	default:
		return name
	}
}

func (r random) resources() v1alpha1.GroupResources {
	entry := v1alpha1.GroupResources{Group: r.one(append([]string{"*"}, groupNames...))}
	for range r.IntN(4) {
		form := r.one(append([]string{"*"}, resourceNames...))
		if sub := r.one(append([]string{"*"}, subNames...)); sub != "" {
			form += "/" + sub
		}
		entry.Resources = append(entry.Resources, form)
	}
	return entry
}

func (r random) trails() []v1alpha1.AuditTrail {
	var trails []v1alpha1.AuditTrail
	for i := range 1 + r.IntN(3) {
		t := trail(r.one(append([]string{operatorNamespace}, namespaceNames...)), "t"+strconv.Itoa(i))
		for range r.IntN(5) {
			t.Spec.Rules = append(t.Spec.Rules, r.rule())
		}
		if r.IntN(2) == 0 {
			t = failing(t)
		}
		trails = append(trails, t)
	}
	return trails
}

// request is one that an API server could send, and the name and namespace that its AdmissionRequest would have.
func (r random) request() (req rules.Request, name, namespace string) {
	req = request(r.one(verbs), r.one(groupNames), r.one(resourceNames), r.one(subNames), r.one(namespaceNames), r.name(objectNames))
	var groups []string
	for range r.IntN(3) {
		groups = append(groups, r.name(userGroups))
	}
	if r.IntN(10) == 0 {
		for i := range 100 {
			groups = append(groups, "many-"+strconv.Itoa(i))
		}
	}
	req = by(r.name(usernames), req, groups...)
	req.Kind = r.anyCase(r.one(kindNames))
	if req.Operation == "CREATE" || req.Operation == "UPDATE" {
		req.FieldManager = r.name(managers)
	}
	name, namespace = req.Name, req.Namespace
	switch {
	case req.Resource == "namespaces" && req.Group == "":
		req.Namespace, namespace = "", req.Name
	case req.Resource == "nodes" || req.Resource == "namespaces" || r.IntN(6) == 0:
		req.Namespace, namespace = "", ""
	}
	if (req.Operation == "CREATE" || req.Operation == "DELETE") && r.IntN(2) == 0 && req.Subresource == "" {
		name = ""
	}
	return req, name, namespace
}
