package plugin_test

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

var (
	alice    = v1alpha1.Actor{Type: v1alpha1.ActorUser, Username: "alice", UID: "u-1", Groups: []string{"developers", "system:authenticated"}}
	deployer = v1alpha1.Actor{Type: v1alpha1.ActorServiceAccount, Username: "system:serviceaccount:shop:deployer", UID: "u-2"}
	web      = v1alpha1.ResourceReference{
		Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespace: shop, Name: "web", UID: "o-1", ResourceVersion: "100",
	}
)

// sceneChanges are what happened, in order.
func sceneChanges() []sceneChange {
	request := &v1alpha1.RequestInfo{UID: "r-1", FieldManager: "kubectl-client-side-apply"}
	base := func(action v1alpha1.Action, actor v1alpha1.Actor, resource v1alpha1.ResourceReference, changes ...v1alpha1.Change) v1alpha1.AuditEventSpec {
		return v1alpha1.AuditEventSpec{
			Action: action, Actor: actor, Resource: resource, Request: request, Level: v1alpha1.LevelChanges, Changes: changes,
		}
	}
	core := func(resource, kind, name string) v1alpha1.ResourceReference {
		return v1alpha1.ResourceReference{Version: "v1", Resource: resource, Kind: kind, Namespace: shop, Name: name, UID: "o-2"}
	}
	scale := web
	scale.Version, scale.Group, scale.Kind, scale.Subresource = "v1", "autoscaling", "Scale", "scale"
	node := v1alpha1.ResourceReference{Version: "v1", Resource: "nodes", Kind: "Node", Name: "node-1", UID: "o-3"}

	changes := []sceneChange{
		{spec: base(v1alpha1.ActionCreate, alice, web, op("add", "", "", `{"metadata":{"name":"web"},"spec":{"replicas":1}}`))},
		{spec: base(v1alpha1.ActionUpdate, deployer, web,
			op("replace", "/spec/template/spec/containers/0/image", `"nginx:1.28"`, `"nginx:1.29"`),
			op("add", "/spec/paused", "", `true`),
			op("remove", "/spec/minReadySeconds", `5`, ""))},
		{spec: base(v1alpha1.ActionUpdate, alice, scale, op("replace", "/spec/replicas", `1`, `2`))},
		{spec: base(v1alpha1.ActionUpdate, alice, core("configmaps", "ConfigMap", "nginx"), op("replace", "/data/nginx.conf",
			`"one\ntwo\nthree\nfour\nfive\nsix\nseven\n"`, `"one\ntwo\nthree\nFOUR\nfive\nsix\nseven\n"`))},
		{spec: base(v1alpha1.ActionUpdate, v1alpha1.Actor{Type: v1alpha1.ActorUser, Username: "mallory\x1b[2J\u202eecila"},
			core("configmaps", "ConfigMap", "hostile"),
			op("add", "/data/\x1b]0;owned\x07", "", `"\u001b[31mred\r\nrm -rf\u0007"`))},
		{spec: base(v1alpha1.ActionCreate, alice, core("ingresses", "Ingress", "public")),
			outcome: v1alpha1.OutcomeNotPersisted, message: "There is no such object."},
		{spec: base(v1alpha1.ActionUpdate, deployer, core("secrets", "Secret", "db"),
			op("replace", "/data/password", `"redacted:aaaa"`, `"redacted:bbbb"`)),
			outcome: v1alpha1.OutcomeUnknown, message: "The operator may not read the object."},
		{spec: base(v1alpha1.ActionUpdate, alice, node, op("add", "/spec/unschedulable", "", `true`))},
		{spec: v1alpha1.AuditEventSpec{
			Action: v1alpha1.ActionNotice, Level: v1alpha1.LevelMetadata,
			Actor:    v1alpha1.Actor{Type: v1alpha1.ActorServiceAccount, Username: "system:serviceaccount:trailkeeper-system:trailkeeper-manager"},
			Resource: v1alpha1.ResourceReference{Group: "audit.trailkeeper.dev", Version: "v1alpha1", Resource: "audittrails", Kind: "AuditTrail", Namespace: shop, Name: "shop"},
			Notice: &v1alpha1.Notice{
				Reason: v1alpha1.NoticeGap, Message: "No replica recorded.",
				Start: new(metav1.NewMicroTime(timeAt(7))), End: new(metav1.NewMicroTime(timeAt(8))),
			},
		}},
		{spec: base(v1alpha1.ActionDelete, v1alpha1.Actor{Type: v1alpha1.ActorControlPlane, Username: "system:serviceaccount:kube-system:generic-garbage-collector"},
			core("pods", "Pod", "web-1"))},
	}
	changes[1].spec.Note = "Release 1.29, see CHG-1042"
	changes[4].spec.Note = "all is\nwell"
	changes[6].spec.Redacted = []string{"/data/password"}
	changes[9].spec.Cause = &v1alpha1.Cause{Reason: v1alpha1.CauseOwnerReference, Event: patched}
	changes[9].spec.Level, changes[9].spec.Object = v1alpha1.LevelObject, raw(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-1"}}`)
	return changes
}

// sceneRules are one of each kind.
func sceneRules() []v1alpha1.Rule {
	return []v1alpha1.Rule{
		{Level: v1alpha1.LevelNone, Actors: []v1alpha1.ActorType{v1alpha1.ActorNode, v1alpha1.ActorControlPlane}},
		{
			Level: v1alpha1.LevelChanges, Operations: []v1alpha1.Operation{v1alpha1.OperationCreate, v1alpha1.OperationUpdate},
			Resources:  []v1alpha1.GroupResources{{Group: "apps", Resources: []string{"deployments", "deployments/scale"}}, {Resources: []string{"configmaps"}}},
			Namespaces: []string{"shop", "team-*"}, Users: []string{"alice"}, FieldManagers: []string{"kubectl*"},
		},
		{Level: v1alpha1.LevelMetadata, Kinds: []string{"Secret"}, NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "prod"}}},
		{Level: v1alpha1.LevelObject, Operations: []v1alpha1.Operation{v1alpha1.OperationDelete}, Groups: []string{"developers"}},
	}
}
