package rules_test

import (
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

func TestRuleConditions(t *testing.T) {
	gold := &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "gold"}}
	silver := &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "silver"}}
	broken := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "tier", Operator: "Near"}}}
	pod := request("CREATE", "", "pods", "", "prod", "web-1")
	scale := request("UPDATE", "apps", "deployments", "scale", "prod", "web")
	node := request("UPDATE", "", "nodes", "", "", "n1")
	cluster := request("CREATE", "example.com", "virtualclusters", "", "prod", "web")
	cluster.Kind, cluster.FieldManager = "virtualCluster", "helm-3"
	unknown := request("UPDATE", "admissionregistration.k8s.io", "validatingadmissionpolicies", "", "", "x")
	unknown.Username, unknown.Groups, unknown.ActorType = "", nil, v1alpha1.ActorUnknown
	elsewhere := request("CREATE", "", "pods", "", "unknown", "web-1")

	for name, c := range map[string]struct {
		rule v1alpha1.Rule
		req  rules.Request
		want bool
	}{
		"everything":                           {v1alpha1.Rule{}, scale, true},
		"resource":                             {v1alpha1.Rule{Resources: only("", "pods")}, pod, true},
		"another group":                        {v1alpha1.Rule{Resources: only("apps", "pods")}, pod, false},
		"any group":                            {v1alpha1.Rule{Resources: only("*", "pods")}, pod, true},
		"group without resources":              {v1alpha1.Rule{Resources: only("apps")}, request("UPDATE", "apps", "deployments", "", "prod", "web"), true},
		"group without resources, subresource": {v1alpha1.Rule{Resources: only("apps")}, scale, false},
		"all resources":                        {v1alpha1.Rule{Resources: only("*", "*")}, pod, true},
		"all resources, subresource":           {v1alpha1.Rule{Resources: only("*", "*")}, scale, false},
		"a resource is not its subresource":    {v1alpha1.Rule{Resources: only("apps", "deployments")}, scale, false},
		"subresource":                          {v1alpha1.Rule{Resources: only("apps", "deployments/scale")}, scale, true},
		"subresource of any":                   {v1alpha1.Rule{Resources: only("*", "*/scale")}, scale, true},
		"other subresource of any":             {v1alpha1.Rule{Resources: only("*", "*/status")}, scale, false},
		"any subresource":                      {v1alpha1.Rule{Resources: only("apps", "deployments/*")}, scale, true},
		"any subresource, none":                {v1alpha1.Rule{Resources: only("", "pods/*")}, pod, false},
		"resources and subresources":           {v1alpha1.Rule{Resources: only("*", "*/*")}, pod, true},
		"unknown actor":                        {v1alpha1.Rule{}, unknown, true},
		"unknown actor, asked for others":      {v1alpha1.Rule{Actors: []v1alpha1.ActorType{v1alpha1.ActorNode}, Users: []string{"bob"}}, unknown, true},
		"actor that is known":                  {v1alpha1.Rule{Actors: []v1alpha1.ActorType{v1alpha1.ActorUnknown}}, pod, false},
		"kind, whatever its case":              {v1alpha1.Rule{Kinds: []string{"Pod", "VirtualCLUSTER"}}, cluster, true},
		"another kind":                         {v1alpha1.Rule{Kinds: []string{"Cluster", "virtualClusters"}}, cluster, false},
		"no kind by its beginning":             {v1alpha1.Rule{Kinds: []string{"virtual*"}}, cluster, false},
		"field manager":                        {v1alpha1.Rule{FieldManagers: []string{"kubectl", "helm-3"}}, cluster, true},
		"field manager prefix":                 {v1alpha1.Rule{FieldManagers: []string{"helm*"}}, cluster, true},
		"another field manager":                {v1alpha1.Rule{FieldManagers: []string{"helm", "Helm-3"}}, cluster, false},
		"no field manager":                     {v1alpha1.Rule{FieldManagers: []string{"helm*"}}, pod, false},
		"any field manager, or none":           {v1alpha1.Rule{FieldManagers: []string{"*"}}, pod, true},
		"operation":                            {v1alpha1.Rule{Operations: []v1alpha1.Operation{v1alpha1.OperationCreate}}, pod, true},
		"another operation":                    {v1alpha1.Rule{Operations: []v1alpha1.Operation{v1alpha1.OperationDelete}}, pod, false},
		"user":                                 {v1alpha1.Rule{Users: []string{"bob", "alice"}}, pod, true},
		"user prefix":                          {v1alpha1.Rule{Users: []string{"ali*"}}, pod, true},
		"another user":                         {v1alpha1.Rule{Users: []string{"bob"}}, pod, false},
		"group prefix":                         {v1alpha1.Rule{Groups: []string{"dev-*"}}, pod, true},
		"another group of users":               {v1alpha1.Rule{Groups: []string{"ops"}}, pod, false},
		"actor":                                {v1alpha1.Rule{Actors: []v1alpha1.ActorType{v1alpha1.ActorUser}}, pod, true},
		"another actor":                        {v1alpha1.Rule{Actors: []v1alpha1.ActorType{v1alpha1.ActorNode}}, pod, false},
		"name":                                 {v1alpha1.Rule{Names: []string{"web-*"}}, pod, true},
		"another name":                         {v1alpha1.Rule{Names: []string{"web"}}, pod, false},
		"namespace":                            {v1alpha1.Rule{Namespaces: []string{"pro*"}}, pod, true},
		"another namespace":                    {v1alpha1.Rule{Namespaces: []string{"dev"}}, pod, false},
		"no namespace":                         {v1alpha1.Rule{Namespaces: []string{"*"}}, node, false},
		"labels":                               {v1alpha1.Rule{NamespaceSelector: gold}, pod, true},
		"other labels":                         {v1alpha1.Rule{NamespaceSelector: silver}, pod, false},
		"labels, no namespace":                 {v1alpha1.Rule{NamespaceSelector: gold}, node, false},
		"labels of an unknown namespace":       {v1alpha1.Rule{NamespaceSelector: silver}, elsewhere, true},
		"labels that cannot be compared":       {v1alpha1.Rule{NamespaceSelector: broken}, pod, true},
		"all fields":                           {v1alpha1.Rule{Resources: only("", "pods"), Users: []string{"alice"}, Names: []string{"db"}}, pod, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			c.rule.Level = v1alpha1.LevelMetadata
			g.Expect(rules.Compile([]v1alpha1.AuditTrail{tenant(c.rule)}, options()).AppendMatches(nil, &c.req)).
				To(HaveLen(map[bool]int{true: 1}[c.want]))
		})
	}
}

func TestFirstRuleWins(t *testing.T) {
	g := NewWithT(t)
	set := rules.Compile([]v1alpha1.AuditTrail{tenant(
		v1alpha1.Rule{Level: v1alpha1.LevelNone, Names: []string{"web-*"}},
		v1alpha1.Rule{Level: v1alpha1.LevelObject, Resources: only("", "pods")},
		v1alpha1.Rule{Level: v1alpha1.LevelMetadata},
	)}, options())
	level := func(resource, name string) v1alpha1.Level {
		req := request("CREATE", "", resource, "", "prod", name)
		for _, match := range set.AppendMatches(nil, &req) {
			return match.Level
		}
		return v1alpha1.LevelNone
	}
	g.Expect(level("pods", "web-1")).To(Equal(v1alpha1.LevelNone))
	g.Expect(level("pods", "db")).To(Equal(v1alpha1.LevelObject))
	g.Expect(level("services", "db")).To(Equal(v1alpha1.LevelMetadata))
}

func TestUnknownNamespaceIsNotLeftOut(t *testing.T) {
	g := NewWithT(t)
	set := rules.Compile([]v1alpha1.AuditTrail{tenant(
		v1alpha1.Rule{Level: v1alpha1.LevelNone, NamespaceSelector: &metav1.LabelSelector{}},
		v1alpha1.Rule{Level: v1alpha1.LevelMetadata},
	)}, options())
	known, unknown := request("CREATE", "", "pods", "", "prod", "a"), request("CREATE", "", "pods", "", "x", "a")
	g.Expect(set.AppendMatches(nil, &known)).To(BeEmpty())
	g.Expect(set.AppendMatches(nil, &unknown)).To(HaveLen(1))
}

func TestScopeFollowsFromPlace(t *testing.T) {
	g := NewWithT(t)
	everything := v1alpha1.Rule{Level: v1alpha1.LevelMetadata}
	suspended := trail("prod", "suspended", everything)
	suspended.Spec.Suspend = ptr.To(true)
	deleted := trail("prod", "deleted", everything)
	deleted.DeletionTimestamp = ptr.To(metav1.Now())
	set := rules.Compile([]v1alpha1.AuditTrail{
		tenant(everything), trail("prod", "b", everything), trail("prod", "a", everything), suspended, deleted,
	}, options())
	names := func(req rules.Request) []string {
		var names []string
		for _, match := range set.AppendMatches(nil, &req) {
			names = append(names, match.Trail.Namespace+"/"+match.Trail.Name)
		}
		return names
	}
	g.Expect(names(request("CREATE", "", "pods", "", "prod", "x"))).To(Equal([]string{"trailkeeper-system/t", "prod/a", "prod/b"}))
	g.Expect(names(request("CREATE", "", "pods", "", "dev", "x"))).To(Equal([]string{"trailkeeper-system/t"}))
	g.Expect(names(request("DELETE", "", "namespaces", "", "", "prod"))).To(Equal([]string{"trailkeeper-system/t"}))
	g.Expect(set.Trails()).To(HaveLen(3))
	g.Expect(set.Trails()[0].Scope).To(Equal(v1alpha1.ScopeProject))
	g.Expect(set.Trails()[2].Scope).To(Equal(v1alpha1.ScopeTenant))
}

func TestOwnWritesAreNotRecorded(t *testing.T) {
	g := NewWithT(t)
	set := rules.Compile([]v1alpha1.AuditTrail{tenant(v1alpha1.Rule{Level: v1alpha1.LevelMetadata})}, options())
	operator := rules.ServiceAccountUsername(operatorNamespace)
	g.Expect(operator).To(Equal("system:serviceaccount:trailkeeper-system:trailkeeper-manager"))
	own := request("CREATE", "audit.trailkeeper.dev", "auditevents", "", "prod", "x")
	others := by(operator, request("CREATE", "", "secrets", "", operatorNamespace, "x"))
	g.Expect(set.AppendMatches(nil, &own)).To(HaveLen(1), "by somebody else")
	own = by(operator, own)
	g.Expect(set.AppendMatches(nil, &own)).To(BeEmpty())
	g.Expect(set.AppendMatches(nil, &others)).To(HaveLen(1))
}

func TestProtectedNamespacesComeUnderIgnore(t *testing.T) {
	g := NewWithT(t)
	set := rules.Compile([]v1alpha1.AuditTrail{failing(tenant(v1alpha1.Rule{Level: v1alpha1.LevelMetadata}))}, options())
	for _, c := range []struct {
		req  rules.Request
		want v1alpha1.FailurePolicy
	}{
		{request("CREATE", "", "pods", "", "prod", "x"), v1alpha1.FailurePolicyFail},
		{request("CREATE", "", "pods", "", "kube-system", "x"), v1alpha1.FailurePolicyIgnore},
		{request("CREATE", "", "pods", "", operatorNamespace, "x"), v1alpha1.FailurePolicyIgnore},
		{request("UPDATE", "", "namespaces", "", "", "kube-system"), v1alpha1.FailurePolicyIgnore},
		{request("UPDATE", "", "namespaces", "", "", "prod"), v1alpha1.FailurePolicyFail},
		{request("UPDATE", "", "nodes", "", "", "kube-system"), v1alpha1.FailurePolicyFail},
	} {
		matches := set.AppendMatches(nil, &c.req)
		g.Expect(matches).To(HaveLen(1))
		g.Expect(matches[0].FailurePolicy).To(Equal(c.want), "%+v", c.req)
		g.Expect(matches[0].Trail.FailurePolicy).To(Equal(v1alpha1.FailurePolicyFail))
	}
}

func TestCompiledTrailCarriesWhatTheRecorderNeeds(t *testing.T) {
	g := NewWithT(t)
	source := failing(trail("prod", "a"))
	source.Spec.Recording.Durability = v1alpha1.DurabilityLocal
	source.Spec.Redaction = &v1alpha1.Redaction{Paths: []string{"/spec/*/value", "/metadata/annotations/a~1b~01"}}
	compiled := rules.Compile([]v1alpha1.AuditTrail{source}, options()).Trails()[0]
	g.Expect(compiled.Namespace).To(Equal("prod"))
	g.Expect(compiled.UID).To(Equal(source.UID))
	g.Expect(compiled.Durability).To(Equal(v1alpha1.DurabilityLocal))
	g.Expect(compiled.FailurePolicy).To(Equal(v1alpha1.FailurePolicyFail))
	g.Expect(compiled.Redaction).To(Equal([][]string{{"spec", "*", "value"}, {"metadata", "annotations", "a/b~1"}}))
}

func TestUnknownActorsAreLeftOutByNameOnly(t *testing.T) {
	g := NewWithT(t)
	unknown := request("UPDATE", "admissionregistration.k8s.io", "validatingadmissionpolicies", "", "", "x")
	unknown.Username, unknown.Groups, unknown.ActorType = "", nil, v1alpha1.ActorUnknown
	for _, c := range []struct {
		rule v1alpha1.Rule
		left bool
	}{
		{v1alpha1.Rule{}, true},
		{v1alpha1.Rule{Actors: []v1alpha1.ActorType{v1alpha1.ActorUnknown}}, true},
		{v1alpha1.Rule{Actors: []v1alpha1.ActorType{v1alpha1.ActorUser}}, false},
		{v1alpha1.Rule{Users: []string{"*"}}, false},
		{v1alpha1.Rule{Groups: []string{"system:masters"}}, false},
	} {
		c.rule.Level = v1alpha1.LevelNone
		set := rules.Compile([]v1alpha1.AuditTrail{tenant(c.rule, v1alpha1.Rule{Level: v1alpha1.LevelMetadata})}, options())
		if c.left {
			g.Expect(set.AppendMatches(nil, &unknown)).To(BeEmpty(), "%+v", c.rule)
		} else {
			g.Expect(set.AppendMatches(nil, &unknown)).To(HaveLen(1), "%+v", c.rule)
		}
	}
}

func TestUnwantedRequestsAllocateNothing(t *testing.T) {
	g := NewWithT(t)
	set := rules.Compile([]v1alpha1.AuditTrail{
		tenant(), trail("prod", "a"), trail("prod", "b"), trail("prod", "c", v1alpha1.Rule{
			Level: v1alpha1.LevelChanges, Kinds: []string{"ENDPOINTS", "leasE"}, FieldManagers: []string{"helm", "kubectl-*"},
		}),
	}, options())
	req := by("system:node:n1", request("UPDATE", "coordination.k8s.io", "leases", "", "prod", "n1"), "system:nodes")
	req.Kind, req.FieldManager = "Lease", "kubelet"
	matches := make([]rules.Match, 0, 4)
	g.Expect(set.AppendMatches(matches, &req)).To(BeEmpty())
	g.Expect(testing.AllocsPerRun(1000, func() {
		req.ActorType = rules.ActorType(req.Username, req.Groups)
		matches = set.AppendMatches(matches[:0], &req)
	})).To(BeZero())
}

func TestStore(t *testing.T) {
	g := NewWithT(t)
	var store rules.Store
	g.Expect(store.Load()).To(BeNil())
	g.Expect(store.Ready(nil)).To(MatchError(ContainSubstring("not been compiled")))
	set := rules.Compile(nil, options())
	store.Swap(set)
	g.Expect(store.Load()).To(BeIdenticalTo(set))
	g.Expect(store.Ready(nil)).To(Succeed())
}

func BenchmarkUnwanted(b *testing.B) {
	set := rules.Compile([]v1alpha1.AuditTrail{tenant(), trail("prod", "a"), trail("prod", "b")}, options())
	req := by("system:node:n1", request("UPDATE", "", "pods", "status", "prod", "web-1"), "system:nodes")
	matches := make([]rules.Match, 0, 4)
	b.ReportAllocs()
	for b.Loop() {
		req.ActorType = rules.ActorType(req.Username, req.Groups)
		if matches = set.AppendMatches(matches[:0], &req); len(matches) != 0 {
			b.Fatal("a node's status update is wanted")
		}
	}
}
