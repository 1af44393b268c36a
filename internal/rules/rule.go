package rules

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// rule is a compiled v1alpha1.Rule. Absent fields match everything.
type rule struct {
	level      v1alpha1.Level
	operations operations
	actors     []v1alpha1.ActorType
	users      patterns
	groups     patterns
	names      patterns
	namespaces patterns
	resources  []resource
	kinds      kinds
	// fieldManagers are compared with the client's own word for itself.
	fieldManagers patterns
	// byLabels says that the rule has a namespaceSelector; selector is nil when that does not compile.
	byLabels bool
	selector labels.Selector
}

func compileRule(r *v1alpha1.Rule) rule {
	compiled := rule{
		level:      r.Level,
		operations: compileOperations(r.Operations),
		actors:     slices.Clone(r.Actors),
		users:      compilePatterns(r.Users),
		groups:     compilePatterns(r.Groups),
		names:      compilePatterns(r.Names),
		namespaces: compilePatterns(r.Namespaces),
		resources:  compileResources(r.Resources),
		kinds:      compileKinds(r.Kinds),
		byLabels:   r.NamespaceSelector != nil,

		fieldManagers: compilePatterns(r.FieldManagers),
	}
	if r.NamespaceSelector != nil {
		if selector, err := metav1.LabelSelectorAsSelector(r.NamespaceSelector); err == nil {
			compiled.selector = selector
		}
	}
	return compiled
}

func compileResources(list []v1alpha1.GroupResources) []resource {
	var compiled []resource
	for _, entry := range list {
		names := entry.Resources
		if len(names) == 0 {
			names = []string{"*"}
		}
		for _, form := range names {
			name, sub, _ := strings.Cut(form, "/")
			compiled = append(compiled, resource{group: entry.Group, name: name, sub: sub})
		}
	}
	return compiled
}

// match reports whether the rule matches. The cheapest and most selective comparisons come first.
func (r *rule) match(req *Request, operation operations, namespaceLabels NamespaceLabels) bool {
	return r.operations&operation != 0 &&
		r.matchResource(req.Group, req.Resource, req.Subresource) &&
		r.kinds.match(req.Kind) &&
		(r.namespaces.absent() || req.Namespace != "" && r.namespaces.match(req.Namespace)) &&
		(r.names.absent() || r.names.match(req.Name)) &&
		r.matchActor(req) &&
		(r.fieldManagers.absent() || r.fieldManagers.match(req.FieldManager)) &&
		(!r.byLabels || r.matchLabels(req.Namespace, namespaceLabels))
}

// matchActor compares who asks. When that is not known, the rule counts as matching if it records and as not matching if
// it leaves out, unless it says Unknown itself.
func (r *rule) matchActor(req *Request) bool {
	if req.ActorType == v1alpha1.ActorUnknown {
		anybody := len(r.actors) == 0 && r.users.absent() && r.groups.absent()
		return anybody || r.records() || slices.Contains(r.actors, v1alpha1.ActorUnknown)
	}
	return (len(r.actors) == 0 || slices.Contains(r.actors, req.ActorType)) &&
		(r.users.absent() || r.users.match(req.Username)) &&
		(r.groups.absent() || r.groups.matchAny(req.Groups))
}

func (r *rule) matchResource(group, name, sub string) bool {
	if len(r.resources) == 0 {
		return true
	}
	for i := range r.resources {
		if r.resources[i].match(group, name, sub) {
			return true
		}
	}
	return false
}

// matchLabels compares the labels of the object's namespace. When they are not known the rule counts as matching if it
// records and as not matching if it leaves out, so that a record is never lost for want of knowledge.
func (r *rule) matchLabels(namespace string, namespaceLabels NamespaceLabels) bool {
	if namespace == "" {
		return false
	}
	if r.selector != nil && namespaceLabels != nil {
		if set, known := namespaceLabels(namespace); known {
			return r.selector.Matches(set)
		}
	}
	return r.records()
}

// records reports whether a request that the rule matches is recorded.
func (r *rule) records() bool {
	return r.level != v1alpha1.LevelNone
}
