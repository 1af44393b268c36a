package attack

import (
	"context"
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const countEvents = "count/auditevents.audit.trailkeeper.dev"

func noRoomForEvents(name string) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{
		ObjectMeta: named(shared, name),
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{countEvents: resource.MustParse("0")}},
	}
}

// TestAQuotaDoesNotSilenceATrail: a quota of no AuditEvents is refused, and where there is one all the same, from before the
// policies, the events are where the namespace's owner has no say.
func TestAQuotaDoesNotSilenceATrail(t *testing.T) {
	g := NewWithT(t)
	unlimited := &corev1.ResourceQuota{ObjectMeta: named(shared, "unlimited")}
	unlimited.Spec.Hard = corev1.ResourceList{"count/configmaps": resource.MustParse("10000")}
	const refused = "AuditEvents must not be limited by a quota"
	try(t, []attempt{
		{"leave no room for events", create(noRoomForEvents("none")), refused, ""},
		{"make a harmless quota", create(unlimited), "", "Create resourcequotas unlimited"},
		{"turn it into a harmful one", merge(unlimited.DeepCopy(), `{"spec":{"hard":{"`+countEvents+`":"1"}}}`), refused, ""},
	})
	g.Expect(mallory.Delete(t.Context(), unlimited)).To(Succeed())

	withoutPolicy(t, "trailkeeper-quotas")
	quota := noRoomForEvents("older-than-the-policy")
	g.Eventually(func() error { return mallory.Create(t.Context(), quota.DeepCopy()) }).WithTimeout(patience).WithPolling(polling).Should(Succeed())
	t.Cleanup(func() { g.Expect(admin.Delete(context.WithoutCancel(t.Context()), quota)).To(Succeed()) })
	// The quota's controller counts before the quota holds.
	g.Eventually(func(g Gomega) {
		g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(quota), quota)).To(Succeed())
		g.Expect(quota.Status.Hard).To(HaveKey(corev1.ResourceName(countEvents)))
	}).WithTimeout(patience).WithPolling(polling).Should(Succeed())
	g.Eventually(func() string { return work(t, project, shared).Namespace }).WithTimeout(patience).WithPolling(polling).Should(Equal(own))
	for i := range operator.Size() {
		spilled, err := operator.Replica(i).Spilled(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(spilled).To(BeZero(), "what waits here keeps others' events waiting")
	}
}

// withoutPolicy takes a policy's binding away until the test's end, as in a cluster where it was never applied.
func withoutPolicy(t *testing.T, name string) {
	t.Helper()
	g := NewWithT(t)
	objects, err := env.Render(t.Context(), "config/policy")
	g.Expect(err).NotTo(HaveOccurred())
	binding := configuration("ValidatingAdmissionPolicyBinding", name)
	g.Expect(admin.Delete(t.Context(), binding)).To(Succeed())
	t.Cleanup(func() { g.Expect(env.Apply(context.WithoutCancel(t.Context()), objects...)).To(Succeed()) })
}

// hostile are rules that try to end a CEL literal, to be true or false for everybody, or to use up what an expression may cost.
func hostile() map[string][]v1alpha1.Rule {
	endings := []string{`x"] || true || username in ["`, `\`, `\"`, "a\n||true", `'`, `"""`, "${x}", "ü\u2028\u202e", `*`, `"*`}
	var groups, names []string
	for i := range 64 {
		groups = append(groups, fmt.Sprintf("%d-%s*", i, strings.Repeat("g", 200)))
		names = append(names, fmt.Sprintf("%d-%s*", i, strings.Repeat("n", 100)))
	}
	none := v1alpha1.Rule{Level: v1alpha1.LevelNone}
	long := v1alpha1.Rule{Level: v1alpha1.LevelChanges, Groups: groups, Users: groups, Names: names, FieldManagers: names}
	wide := v1alpha1.Rule{Level: v1alpha1.LevelChanges}
	for i := range 16 {
		form := v1alpha1.GroupResources{Group: fmt.Sprintf("g%d.example.com", i)}
		for j := range 32 {
			form.Resources = append(form.Resources, fmt.Sprintf("r%d-%d", i, j))
		}
		wide.Resources = append(wide.Resources, form)
	}
	return map[string][]v1alpha1.Rule{
		"literals": {{Level: v1alpha1.LevelChanges, Users: endings, Groups: endings, Names: endings, FieldManagers: endings}},
		"nothing":  {none},
		"long":     {long, long, long, long},
		"wide":     {wide, wide},
	}
}

// TestHostileRulesHarmNobody: all trails share one filter, so what one trail asks for must not change what others get.
func TestHostileRulesHarmNobody(t *testing.T) {
	g := NewWithT(t)
	for name, rules := range hostile() {
		trail := clusterOnly(shared, "hostile-"+name, rules...)
		g.Expect(mallory.Create(t.Context(), trail)).To(Succeed(), name)
		t.Cleanup(func() { g.Expect(mallory.Delete(context.WithoutCancel(t.Context()), trail)).To(Succeed()) })
		waitInForce(t, trail)
		for _, other := range []struct {
			trail     *v1alpha1.AuditTrail
			namespace string
		}{{project, shared}, {tenant, shared}, {theirs, victim}, {tenant, victim}} {
			work(t, other.trail, other.namespace)
		}
	}
}

// waitInForce waits until the API server was given a trail.
func waitInForce(t *testing.T, trail *v1alpha1.AuditTrail) {
	t.Helper()
	NewWithT(t).Eventually(func(g Gomega) {
		g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(trail), trail)).To(Succeed())
		g.Expect(trail.Status.Conditions).To(ContainElement(And(
			HaveField("Type", v1alpha1.RecordingCondition), HaveField("Status", metav1.ConditionTrue))), "%+v", trail.Status.Conditions)
	}).WithTimeout(patience).WithPolling(polling).Should(Succeed())
}

// TestWhatAnOwnerMayDoIsToldElsewhere: a namespace's trails are its owner's, who may suspend, change and delete them. The
// tenant's trail tells of it, and goes on.
func TestWhatAnOwnerMayDoIsToldElsewhere(t *testing.T) {
	g := NewWithT(t)
	trail := clusterOnly(shared, "theirs-to-end")
	g.Expect(admin.Create(t.Context(), trail)).To(Succeed())
	waitInForce(t, trail)
	const updated = "Update audittrails theirs-to-end"
	try(t, []attempt{
		{"record nothing any more", merge(trail.DeepCopy(), `{"spec":{"rules":[{"level":"None"}]}}`), "", updated},
		{"suspend it", merge(trail.DeepCopy(), `{"spec":{"suspend":true}}`), "", updated},
		{"keep next to nothing", merge(trail.DeepCopy(), `{"spec":{"retention":{"maxEvents":100,"ttlSeconds":300}}}`), "", updated},
		{"drop what is not delivered", merge(trail.DeepCopy(), `{"metadata":{"finalizers":null}}`), "finalizer", ""},
		{"delete it", remove(trail.DeepCopy()), "", "Delete audittrails theirs-to-end"},
		{"change the namespace's labels", merge(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: shared}},
			`{"metadata":{"labels":{"audited":"no"}}}`), "", "Update namespaces " + shared},
	})
	work(t, tenant, shared)
}

// TestADryRunMovesNothing: it is the one request that is not recorded, because nothing comes of it.
func TestADryRunMovesNothing(t *testing.T) {
	g := NewWithT(t)
	tells := told(t, tenant)
	dry := &corev1.ConfigMap{ObjectMeta: named(shared, "dry")}
	g.Expect(mallory.Create(t.Context(), dry, client.DryRunAll)).To(Succeed())
	g.Expect(tells()).To(BeEmpty())
	g.Expect(client.IgnoreNotFound(admin.Get(t.Context(), client.ObjectKeyFromObject(dry), dry))).To(Succeed())
}
