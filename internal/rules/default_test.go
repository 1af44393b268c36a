package rules_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

func TestDefault(t *testing.T) {
	const (
		gc       = "system:serviceaccount:kube-system:generic-garbage-collector"
		deployer = "system:serviceaccount:ci:deployer"
		kubelet  = "system:node:n1"
	)
	set := rules.Compile([]v1alpha1.AuditTrail{tenant()}, options())
	deployment := request("UPDATE", "apps", "deployments", "", "prod", "web")
	for _, c := range []struct {
		name string
		req  rules.Request
		want bool
	}{
		{"a person", deployment, true},
		{"a deployer", by(deployer, deployment), true},
		{"a controller", by(gc, deployment), false},
		{"a scale", request("UPDATE", "apps", "deployments", "scale", "prod", "web"), true},
		{"a custom resource's scale", request("UPDATE", "example.com", "things", "scale", "prod", "web"), true},
		{"an autoscaler's scale", by("system:serviceaccount:kube-system:horizontal-pod-autoscaler", request("UPDATE", "apps", "deployments", "scale", "prod", "web")), false},
		{"a status", request("UPDATE", "apps", "deployments", "status", "prod", "web"), false},
		{"a lease", request("UPDATE", "coordination.k8s.io", "leases", "", "prod", "x"), false},
		{"a lease's deletion", request("DELETE", "coordination.k8s.io", "leases", "", "prod", "x"), false},
		{"an event", request("CREATE", "", "events", "", "prod", "x"), false},
		{"a new event", request("CREATE", "events.k8s.io", "events", "", "prod", "x"), false},
		{"endpoint slices", request("UPDATE", "discovery.k8s.io", "endpointslices", "", "prod", "x"), false},
		{"a review", request("CREATE", "authorization.k8s.io", "subjectaccessreviews", "", "", ""), false},
		{"a token", request("CREATE", "", "serviceaccounts", "token", "prod", "x"), false},
		{"a binding", request("CREATE", "", "pods", "binding", "prod", "x"), false},
		{"an exec", request("CONNECT", "", "pods", "exec", "prod", "x"), true},
		{"a port forward", request("CONNECT", "", "pods", "portforward", "prod", "x"), true},
		{"an eviction", request("CREATE", "", "pods", "eviction", "prod", "x"), true},
		{"an eviction by the control plane", by(gc, request("CREATE", "", "pods", "eviction", "prod", "x")), true},
		{"an ephemeral container", request("UPDATE", "", "pods", "ephemeralcontainers", "prod", "x"), true},
		{"an approval", request("UPDATE", "certificates.k8s.io", "certificatesigningrequests", "approval", "", "x"), true},
		{"a node's pod", by(kubelet, request("CREATE", "", "pods", "", "prod", "x"), "system:nodes"), false},
		{"a node's deletion of a pod", by(kubelet, request("DELETE", "", "pods", "", "prod", "x"), "system:nodes"), true},
		{"a controller's secret", by(gc, request("UPDATE", "", "secrets", "", "prod", "x")), true},
		{"a controller's role", by(gc, request("UPDATE", "rbac.authorization.k8s.io", "clusterroles", "", "", "x")), true},
		{"a person's audit event", request("CREATE", "audit.trailkeeper.dev", "auditevents", "", "prod", "x"), true},
		{"the wipe of audit events", by(gc, request("DELETE", "audit.trailkeeper.dev", "auditevents", "", "prod", "x")), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := NewWithT(t)
			matches := set.AppendMatches(nil, &c.req)
			g.Expect(matches).To(HaveLen(map[bool]int{true: 1}[c.want]))
			for _, match := range matches {
				g.Expect(match.Level).To(Equal(v1alpha1.LevelChanges))
			}
		})
	}
}

func TestRecordsDeletesOf(t *testing.T) {
	metadata := func(r v1alpha1.Rule) v1alpha1.Rule { r.Level = v1alpha1.LevelMetadata; return r }
	none := func(r v1alpha1.Rule) v1alpha1.Rule { r.Level = v1alpha1.LevelNone; return r }
	deletes := []v1alpha1.Operation{v1alpha1.OperationDelete}
	for name, c := range map[string]struct {
		trail                      v1alpha1.AuditTrail
		group, resource, namespace string
		want                       bool
	}{
		"default":                   {tenant(), "apps", "deployments", "prod", true},
		"default, cluster-scoped":   {tenant(), "", "nodes", "", true},
		"default, noise":            {tenant(), "coordination.k8s.io", "leases", "prod", false},
		"own namespace":             {trail("prod", "a"), "", "pods", "prod", true},
		"another namespace":         {trail("prod", "a"), "", "pods", "dev", false},
		"cluster-scoped in project": {trail("prod", "a"), "", "nodes", "", false},
		"only some users":           {tenant(metadata(v1alpha1.Rule{Users: []string{"a*"}})), "", "pods", "prod", false},
		"only some groups":          {tenant(metadata(v1alpha1.Rule{Groups: []string{"*"}})), "", "pods", "prod", false},
		"only some actors":          {tenant(metadata(v1alpha1.Rule{Actors: []v1alpha1.ActorType{"User"}})), "", "pods", "prod", false},
		"only some names":           {tenant(metadata(v1alpha1.Rule{Names: []string{"a*"}})), "", "pods", "prod", false},
		"every name":                {tenant(metadata(v1alpha1.Rule{Names: []string{"*"}})), "", "pods", "prod", true},
		"only its kind":             {tenant(metadata(v1alpha1.Rule{Kinds: []string{"kinD", "Other"}})), "", "pods", "prod", true},
		"only another kind":         {tenant(metadata(v1alpha1.Rule{Kinds: []string{"Other"}})), "", "pods", "prod", false},
		"only some field managers":  {tenant(metadata(v1alpha1.Rule{FieldManagers: []string{"helm", "k*"}})), "", "pods", "prod", false},
		"every field manager":       {tenant(metadata(v1alpha1.Rule{FieldManagers: []string{"*"}})), "", "pods", "prod", true},
		"only creations":            {tenant(metadata(v1alpha1.Rule{Operations: []v1alpha1.Operation{"Create"}})), "", "pods", "prod", false},
		"some left out before": {
			tenant(none(v1alpha1.Rule{Users: []string{"bob"}}), metadata(v1alpha1.Rule{})), "", "pods", "prod", false,
		},
		"others left out before": {
			tenant(none(v1alpha1.Rule{Resources: only("", "secrets")}), metadata(v1alpha1.Rule{Operations: deletes})), "", "pods", "prod", true,
		},
		"field managers left out before": {
			tenant(none(v1alpha1.Rule{FieldManagers: []string{"helm"}}), metadata(v1alpha1.Rule{})), "", "pods", "prod", true,
		},
		"its kind left out before": {
			tenant(none(v1alpha1.Rule{Kinds: []string{"kind"}}), metadata(v1alpha1.Rule{})), "", "pods", "prod", false,
		},
		"another namespace left out": {
			tenant(none(v1alpha1.Rule{Namespaces: []string{"dev*"}}), metadata(v1alpha1.Rule{})), "", "pods", "prod", true,
		},
		"its namespace left out": {
			tenant(none(v1alpha1.Rule{Namespaces: []string{"dev*"}}), metadata(v1alpha1.Rule{})), "", "pods", "dev-1", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			compiled := rules.Compile([]v1alpha1.AuditTrail{c.trail}, options()).Trails()[0]
			NewWithT(t).Expect(compiled.RecordsDeletesOf(&v1alpha1.ResourceReference{
				Group: c.group, Resource: c.resource, Kind: "Kind", Namespace: c.namespace,
			})).To(Equal(c.want))
		})
	}
}
