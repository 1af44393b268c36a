package rules

import "github.com/trailkeeper/trailkeeper/api/v1alpha1"

// Default is the rules of a trail without rules, in order. It records what people and deployments change and leaves out
// the noise of nodes and the control plane, whose changes follow from somebody else's; but nobody is left out for RBAC,
// Secrets and deletions. Subresources are left out unless listed, so every */status, pods/binding and
// serviceaccounts/token is.
func Default() []v1alpha1.Rule {
	var (
		changed  = []v1alpha1.Operation{v1alpha1.OperationCreate, v1alpha1.OperationUpdate, v1alpha1.OperationDelete}
		machines = []v1alpha1.ActorType{v1alpha1.ActorNode, v1alpha1.ActorControlPlane}
	)
	return []v1alpha1.Rule{
		// Heartbeats and bookkeeping: nothing that anybody decided.
		{Level: v1alpha1.LevelNone, Resources: noise()},
		// The wipe of a namespace takes its AuditEvents: a record for each would only double them.
		{
			Level: v1alpha1.LevelNone, Actors: []v1alpha1.ActorType{v1alpha1.ActorControlPlane},
			Resources: resources(v1alpha1.GroupVersion.Group, v1alpha1.AuditEventsResource.Resource),
		},
		// Who may do what, and what must stay secret: recorded whoever it is.
		{Level: v1alpha1.LevelChanges, Operations: changed, Resources: append(
			resources("rbac.authorization.k8s.io", "*"), resources("", "secrets")...)},
		// What is gone is gone: recorded whoever it is. An eviction is a deletion that admission sees as a Create.
		{
			Level: v1alpha1.LevelChanges, Operations: []v1alpha1.Operation{v1alpha1.OperationDelete},
			Resources: resources("*", "*"),
		},
		{
			Level: v1alpha1.LevelChanges, Operations: []v1alpha1.Operation{v1alpha1.OperationCreate},
			Resources: resources("", "pods/eviction"),
		},
		// The rest of what nodes and the control plane do follows from other changes.
		{Level: v1alpha1.LevelNone, Actors: machines},
		{Level: v1alpha1.LevelChanges, Operations: changed, Resources: resources("*", "*")},
		{
			Level: v1alpha1.LevelChanges, Operations: []v1alpha1.Operation{v1alpha1.OperationUpdate},
			Resources: append(append(
				resources("*", "*/scale"),
				resources("", "pods/ephemeralcontainers", "pods/resize", "namespaces/finalize")...),
				resources("certificates.k8s.io", "certificatesigningrequests/approval")...),
		},
		{
			Level: v1alpha1.LevelChanges, Operations: []v1alpha1.Operation{v1alpha1.OperationConnect},
			Resources: resources("", "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy", "nodes/proxy"),
		},
	}
}

func noise() []v1alpha1.GroupResources {
	return []v1alpha1.GroupResources{
		{Group: "coordination.k8s.io", Resources: []string{"leases", "leasecandidates"}},
		{Group: "", Resources: []string{"events", "endpoints", "bindings"}},
		{Group: "events.k8s.io", Resources: []string{"events"}},
		{Group: "discovery.k8s.io", Resources: []string{"endpointslices"}},
	}
}

func resources(group string, names ...string) []v1alpha1.GroupResources {
	return []v1alpha1.GroupResources{{Group: group, Resources: names}}
}
