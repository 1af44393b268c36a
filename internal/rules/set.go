package rules

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// kubeSystem is where the control plane's own parts live. A change there, or in the operator's namespace, is never
// refused for want of a record: refusing it could keep the cluster, or the operator itself, from starting.
const kubeSystem = "kube-system"

// Options are what a Set needs to know beside the trails.
type Options struct {
	// OperatorNamespace makes the trails in it tenant trails.
	OperatorNamespace string
	// OperatorUsername is the operator's own identity. What it does to its own API group is never recorded, because
	// recording an AuditEvent must not record an AuditEvent.
	OperatorUsername string
	// NamespaceLabels looks up namespaces for namespaceSelector. When nil, no namespace is known.
	NamespaceLabels NamespaceLabels
}

// Set is the compiled rules of every active trail. It is immutable; the zero Set wants nothing.
type Set struct {
	options Options
	tenants []*CompiledTrail
	// projects are the other trails by namespace, so that a request costs the same however many projects there are.
	projects map[string][]*CompiledTrail
	byUID    map[types.UID]*CompiledTrail
	// byFieldManager says that a rule of some trail has fieldManagers.
	byFieldManager bool
}

// Match is a trail that wants a request.
type Match struct {
	Trail *CompiledTrail
	// Level is never None.
	Level v1alpha1.Level
	// FailurePolicy is what holds for this request, and so names the webhook entry that records it. It is the
	// trail's own, save that changes in kube-system and in the operator's namespace are always under Ignore.
	FailurePolicy v1alpha1.FailurePolicy
}

// Compile compiles the trails. Trails that are suspended or being deleted want nothing and are left out. A
// namespaceSelector that does not compile counts as one whose answer is not known.
func Compile(trails []v1alpha1.AuditTrail, options Options) *Set {
	set := &Set{options: options, projects: map[string][]*CompiledTrail{}, byUID: map[types.UID]*CompiledTrail{}}
	for i := range trails {
		if !active(&trails[i]) {
			continue
		}
		trail := compileTrail(&trails[i], options.OperatorNamespace)
		set.byFieldManager = set.byFieldManager || slices.ContainsFunc(trail.rules, func(r rule) bool { return !r.fieldManagers.absent() })
		set.byUID[trail.UID] = trail
		if trail.Scope == v1alpha1.ScopeTenant {
			set.tenants = append(set.tenants, trail)
		} else {
			set.projects[trail.Namespace] = append(set.projects[trail.Namespace], trail)
		}
	}
	slices.SortFunc(set.tenants, byName)
	for _, list := range set.projects {
		slices.SortFunc(list, byName)
	}
	return set
}

func active(trail *v1alpha1.AuditTrail) bool {
	return trail.DeletionTimestamp.IsZero() && (trail.Spec.Suspend == nil || !*trail.Spec.Suspend)
}

func byName(a, b *CompiledTrail) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// Trails are the active trails, sorted by namespace and name.
func (s *Set) Trails() []*CompiledTrail {
	all := slices.Clone(s.tenants)
	for _, list := range s.projects {
		all = append(all, list...)
	}
	slices.SortFunc(all, byName)
	return all
}

// Trail is an active trail by its name, or nil.
func (s *Set) Trail(namespace, name string) *CompiledTrail {
	list := s.projects[namespace]
	if namespace == s.options.OperatorNamespace {
		list = s.tenants
	}
	for _, trail := range list {
		if trail.Name == name {
			return trail
		}
	}
	return nil
}

// ComparesFieldManagers reports whether a rule asks for the field manager, which costs a look into the request's options.
func (s *Set) ComparesFieldManagers() bool { return s.byFieldManager }

// AppendMatches appends a Match for each trail that wants the request, sorted by name within tenant and project trails. No trail wants a
// review, whatever its rules say. AppendMatches allocates nothing but what appending needs, so nothing at all for a request that nobody wants.
func (s *Set) AppendMatches(dst []Match, req *Request) []Match {
	if req.Group == v1alpha1.GroupVersion.Group && req.Username == s.options.OperatorUsername && req.Username != "" {
		return dst
	}
	if isReview(req) {
		return dst
	}
	operation := operationOf(req.Operation)
	for _, trail := range s.tenants {
		dst = s.appendMatch(dst, trail, req, operation)
	}
	if req.Namespace == "" {
		return dst
	}
	for _, trail := range s.projects[req.Namespace] {
		dst = s.appendMatch(dst, trail, req, operation)
	}
	return dst
}

func (s *Set) appendMatch(dst []Match, trail *CompiledTrail, req *Request, operation operations) []Match {
	level := trail.levelOf(req, operation, s.options.NamespaceLabels)
	if level == v1alpha1.LevelNone {
		return dst
	}
	policy := trail.FailurePolicy
	if s.protects(req) {
		policy = v1alpha1.FailurePolicyIgnore
	}
	return append(dst, Match{Trail: trail, Level: level, FailurePolicy: policy})
}

// Refuses reports whether what the trail wants in a namespace, or of no namespace, is refused when it cannot be recorded.
func (s *Set) Refuses(trail *CompiledTrail, namespace string) bool {
	return trail.FailurePolicy == v1alpha1.FailurePolicyFail && !s.protects(&Request{Namespace: namespace})
}

// protects reports whether the request changes a protected namespace or something in one.
func (s *Set) protects(req *Request) bool {
	namespace := req.Namespace
	if req.isNamespaceObject() {
		namespace = req.Name
	}
	return namespace == kubeSystem || namespace == s.options.OperatorNamespace && namespace != ""
}

// protectedNamespaces are the namespaces that never come under Fail, sorted.
func (s *Set) protectedNamespaces() []string {
	list := []string{kubeSystem, s.options.OperatorNamespace}
	slices.Sort(list)
	return slices.Compact(list)
}
