package rules_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

func webhooks(trails ...v1alpha1.AuditTrail) []admissionregistrationv1.ValidatingWebhook {
	return rules.Compile(trails, options()).Webhooks(endpoint)
}

func requirement(operator metav1.LabelSelectorOperator, values ...string) metav1.LabelSelectorRequirement {
	return metav1.LabelSelectorRequirement{Key: "kubernetes.io/metadata.name", Operator: operator, Values: values}
}

func TestNothingWantedIsNoWebhook(t *testing.T) {
	g := NewWithT(t)
	g.Expect(webhooks()).To(BeEmpty())
	suspended := tenant()
	suspended.Spec.Suspend = ptr.To(true)
	g.Expect(webhooks(suspended)).To(BeEmpty())
}

func TestNotesAreAlwaysAskedFor(t *testing.T) {
	g := NewWithT(t)
	for _, wanting := range []v1alpha1.AuditTrail{
		tenant(v1alpha1.Rule{Level: v1alpha1.LevelNone}), trail("prod", "p", v1alpha1.Rule{Level: v1alpha1.LevelNone}),
	} {
		entries := webhooks(wanting)
		g.Expect(entries).To(HaveLen(1), "nothing else is wanted")
		note := entries[0]
		g.Expect(note.Name).To(Equal("note.recorder.trailkeeper.dev"))
		g.Expect(*note.FailurePolicy).To(Equal(admissionregistrationv1.Fail))
		g.Expect(note.NamespaceSelector).To(Equal(&metav1.LabelSelector{}), "events of projects may be in the operator's namespace")
		g.Expect(note.Rules).To(HaveLen(1))
		g.Expect(note.Rules[0].Operations).To(Equal([]admissionregistrationv1.OperationType{admissionregistrationv1.Update}))
		g.Expect(note.Rules[0].APIGroups).To(Equal([]string{"audit.trailkeeper.dev"}))
		g.Expect(note.Rules[0].Resources).To(Equal([]string{"auditevents"}))
		g.Expect(note.MatchConditions).To(HaveLen(1))
		g.Expect(note.MatchConditions[0].Expression).To(HavePrefix("!((request.userInfo.?username.orValue('') == "))
	}
}

func TestNotesBelongToTheTrailOfTheirEvent(t *testing.T) {
	g := NewWithT(t)
	quiet := trail("prod", "quiet", v1alpha1.Rule{Level: v1alpha1.LevelNone})
	set := rules.Compile([]v1alpha1.AuditTrail{quiet, tenant()}, options())
	note := request("UPDATE", v1alpha1.GroupVersion.Group, "auditevents", "", operatorNamespace, "01x")

	matches := set.AppendNoteMatch(nil, &note, quiet.UID)
	g.Expect(matches).To(HaveLen(1))
	g.Expect(matches[0].Trail.Name).To(Equal("quiet"))
	g.Expect(matches[0].Level).To(Equal(v1alpha1.LevelChanges))
	g.Expect(matches[0].FailurePolicy).To(Equal(v1alpha1.FailurePolicyFail))

	g.Expect(set.AppendNoteMatch(nil, &note, "gone")).To(BeEmpty())
	own := by(rules.ServiceAccountUsername(operatorNamespace), note)
	g.Expect(set.AppendNoteMatch(nil, &own, quiet.UID)).To(BeEmpty())
	for _, other := range []rules.Request{
		request("UPDATE", v1alpha1.GroupVersion.Group, "auditevents", "status", "prod", "01x"),
		request("DELETE", v1alpha1.GroupVersion.Group, "auditevents", "", "prod", "01x"),
		request("UPDATE", v1alpha1.GroupVersion.Group, "audittrails", "", "prod", "01x"),
		request("UPDATE", "example.com", "auditevents", "", "prod", "01x"),
	} {
		g.Expect(set.AppendNoteMatch(nil, &other, quiet.UID)).To(BeEmpty(), "%+v", other)
	}
}

func TestEntriesOfEachPlace(t *testing.T) {
	changes := v1alpha1.Rule{Level: v1alpha1.LevelChanges, Resources: only("apps", "deployments")}
	type entry struct {
		path     string
		scope    admissionregistrationv1.ScopeType
		selector []metav1.LabelSelectorRequirement
	}
	notProtected := requirement(metav1.LabelSelectorOpNotIn, "kube-system", operatorNamespace)
	inProtected := requirement(metav1.LabelSelectorOpIn, "kube-system", operatorNamespace)
	for name, c := range map[string]struct {
		trails []v1alpha1.AuditTrail
		want   []entry
	}{
		"tenant": {[]v1alpha1.AuditTrail{tenant(changes)}, []entry{{rules.IgnorePath, "*", nil}}},
		"projects": {
			[]v1alpha1.AuditTrail{trail("prod", "a", changes), trail("dev", "b", changes), trail("prod", "c", changes)},
			[]entry{{rules.IgnorePath, "Namespaced", []metav1.LabelSelectorRequirement{requirement(metav1.LabelSelectorOpIn, "dev", "prod")}}},
		},
		"tenant and project": {
			[]v1alpha1.AuditTrail{tenant(changes), trail("prod", "a", changes)}, []entry{{rules.IgnorePath, "*", nil}},
		},
		"tenant under Fail": {[]v1alpha1.AuditTrail{failing(tenant(changes))}, []entry{
			{rules.IgnorePath, "*", []metav1.LabelSelectorRequirement{inProtected}},
			{rules.FailPath, "*", []metav1.LabelSelectorRequirement{notProtected}},
		}},
		"project under Fail": {[]v1alpha1.AuditTrail{failing(trail("prod", "a", changes))}, []entry{
			{rules.FailPath, "Namespaced", []metav1.LabelSelectorRequirement{requirement(metav1.LabelSelectorOpIn, "prod"), notProtected}},
		}},
		"project in kube-system under Fail": {[]v1alpha1.AuditTrail{failing(trail("kube-system", "a", changes))}, []entry{
			{rules.IgnorePath, "Namespaced", []metav1.LabelSelectorRequirement{requirement(metav1.LabelSelectorOpIn, "kube-system")}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var got []entry
			for _, webhook := range webhooks(c.trails...) {
				g.Expect(*webhook.TimeoutSeconds).To(BeEquivalentTo(5))
				g.Expect(*webhook.SideEffects).To(Equal(admissionregistrationv1.SideEffectClassNoneOnDryRun))
				g.Expect(*webhook.MatchPolicy).To(Equal(admissionregistrationv1.Equivalent))
				g.Expect(string(*webhook.FailurePolicy)).To(BeEquivalentTo(map[string]string{
					"https://x" + rules.IgnorePath: "Ignore", "https://x" + rules.FailPath: "Fail",
					"https://x" + rules.NotePath: "Fail",
				}[*webhook.ClientConfig.URL]))
				got = append(got, entry{
					strings.TrimPrefix(*webhook.ClientConfig.URL, "https://x"), *webhook.Rules[0].Scope, webhook.NamespaceSelector.MatchExpressions,
				})
			}
			g.Expect(got).To(Equal(append(c.want, entry{rules.NotePath, "Namespaced", nil})))
		})
	}
}

func TestSubscriptionIsTheShortestList(t *testing.T) {
	g := NewWithT(t)
	metadata := func(group string, names []string, ops ...v1alpha1.Operation) v1alpha1.Rule {
		return v1alpha1.Rule{Level: v1alpha1.LevelMetadata, Operations: ops, Resources: only(group, names...)}
	}
	entry := webhooks(tenant(
		v1alpha1.Rule{Level: v1alpha1.LevelNone, Resources: only("batch", "jobs")},
		metadata("apps", []string{"deployments", "deployments/scale", "statefulsets"}, "Update"),
		metadata("apps", []string{"deployments/*"}, "Update"),
		metadata("", []string{"pods", "pods/exec"}),
		metadata("*", []string{"pods"}, "Delete"),
	))[0]
	var got []string
	for _, rule := range entry.Rules {
		got = append(got, fmt.Sprint(rule.Operations, rule.APIGroups, rule.Resources))
	}
	g.Expect(got).To(Equal([]string{
		"[CREATE UPDATE CONNECT] [] [pods]",
		"[CREATE UPDATE DELETE CONNECT] [] [pods/exec]",
		"[DELETE] [*] [pods]",
		"[UPDATE] [apps] [deployments/* statefulsets]",
	}))
}

func TestWebhooksDoNotDependOnOrder(t *testing.T) {
	g := NewWithT(t)
	for seed := range uint64(50) {
		r := random{Rand: rand.New(rand.NewPCG(seed, 2))}
		trails := append(r.trails(), tenant(), trail("dev", "z"))
		first := webhooks(trails...)
		slices.Reverse(trails)
		g.Expect(webhooks(trails...)).To(Equal(first))
	}
}

func TestProjectsWithTheSameRulesShareTheFilter(t *testing.T) {
	g := NewWithT(t)
	var many []v1alpha1.AuditTrail
	for i := range 300 {
		many = append(many, trail(fmt.Sprintf("project-%03d", i), "a"))
	}
	g.Expect(len(wanted(webhooks(many...)))).To(BeNumerically("<", 16<<10))
	g.Expect(wanted(webhooks(many...))).To(ContainSubstring(`"project-007"`))

	// With a tenant trail of the same rules the places no longer matter.
	g.Expect(wanted(webhooks(append(many, tenant())...))).To(Equal(wanted(webhooks(tenant()))))
}

func TestFilterIsBounded(t *testing.T) {
	g := NewWithT(t)
	var sharedRules, ownRules []v1alpha1.AuditTrail
	for i := range 2000 {
		sharedRules = append(sharedRules, trail(fmt.Sprintf("project-%04d", i), "a"))
		ownRules = append(ownRules, trail("prod", fmt.Sprint(i), v1alpha1.Rule{Level: v1alpha1.LevelMetadata, Names: []string{fmt.Sprint(i)}}))
	}
	// First the filter forgets the places, which the namespaceSelector knows as well.
	g.Expect(wanted(webhooks(sharedRules...))).To(Equal(wanted(webhooks(tenant()))))
	// Then there is none.
	entry := webhooks(ownRules...)[0]
	g.Expect(entry.MatchConditions).To(HaveLen(2))
	g.Expect(entry.MatchConditions[0].Expression).To(Equal(`!((request.userInfo.?username.orValue('') == ` +
		`"system:serviceaccount:trailkeeper-system:trailkeeper-manager" && request.resource.group == "audit.trailkeeper.dev"))`))
}

func TestSubscriptionIsBounded(t *testing.T) {
	g := NewWithT(t)
	var trails []v1alpha1.AuditTrail
	for i := range 600 {
		trails = append(trails, trail("prod", fmt.Sprint(i), v1alpha1.Rule{
			Level: v1alpha1.LevelMetadata, Operations: []v1alpha1.Operation{"Create"}, Resources: only("", fmt.Sprintf("r%d", i)),
		}))
	}
	list := webhooks(trails...)[0].Rules
	g.Expect(list).To(HaveLen(1))
	g.Expect(list[0].Resources).To(Equal([]string{"*/*"}))
	g.Expect(list[0].Operations).To(Equal([]admissionregistrationv1.OperationType{"CREATE"}))
}

// wanted is the filter of the only entry.
func wanted(webhooks []admissionregistrationv1.ValidatingWebhook) string {
	for _, condition := range webhooks[0].MatchConditions {
		if condition.Name == "wanted" {
			return condition.Expression
		}
	}
	return ""
}
