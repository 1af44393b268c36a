package attack

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const recorderName = "trailkeeper-recorder"

// restoredTotal is how often the replicas restored a configuration.
func restoredTotal(t *testing.T) float64 {
	t.Helper()
	var total float64
	for i := range operator.Size() {
		value, err := operator.Replica(i).Metric(t.Context(), "trailkeeper_webhook_configuration_restored_total")
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		total += value
	}
	return total
}

// weakenings are what an administrator of the cluster may do to the configuration, from a clumsy edit to a sly one.
func weakenings() map[string]func(*admissionregistrationv1.ValidatingWebhook) {
	return map[string]func(*admissionregistrationv1.ValidatingWebhook){
		"fewer rules":  func(w *admissionregistrationv1.ValidatingWebhook) { w.Rules[0].Resources = []string{"leases"} },
		"a condition":  func(w *admissionregistrationv1.ValidatingWebhook) { w.MatchConditions[0].Expression = "false" },
		"a namespace":  func(w *admissionregistrationv1.ValidatingWebhook) { w.NamespaceSelector = leavingOut(shared) },
		"labels":       func(w *admissionregistrationv1.ValidatingWebhook) { w.ObjectSelector = leavingOut("x") },
		"no patience":  func(w *admissionregistrationv1.ValidatingWebhook) { w.TimeoutSeconds = new(int32(1)) },
		"another path": func(w *admissionregistrationv1.ValidatingWebhook) { w.ClientConfig.URL = new("https://127.0.0.1:1/x") },
		"another CA":   func(w *admissionregistrationv1.ValidatingWebhook) { w.ClientConfig.CABundle = env.Admin().CAData },
	}
}

func leavingOut(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
		Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn, Values: []string{name},
	}}}
}

// TestWeakeningTheWebhookIsUndone, counted and told, whatever was done to it.
func TestWeakeningTheWebhookIsUndone(t *testing.T) {
	for name, weaken := range weakenings() {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			live := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: recorderName}}
			key := client.ObjectKeyFromObject(live)
			g.Expect(admin.Get(t.Context(), key, live)).To(Succeed())
			want, before := live.DeepCopy().Webhooks, restoredTotal(t)
			weaken(&live.Webhooks[0])
			g.Expect(admin.Update(t.Context(), live)).To(Succeed())
			expectRestored(t, before, func(g Gomega) {
				g.Expect(admin.Get(t.Context(), key, live)).To(Succeed())
				g.Expect(live.Webhooks).To(Equal(want))
			})
			work(t, tenant, shared)
		})
	}
	expectTold(t, "Update validatingwebhookconfigurations "+recorderName)
}

// TestWithoutTheWebhooksTheyAreMadeAgain: both configurations.
func TestWithoutTheWebhooksTheyAreMadeAgain(t *testing.T) {
	for _, kind := range []string{"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"} {
		t.Run(kind, func(t *testing.T) {
			g := NewWithT(t)
			before := restoredTotal(t)
			g.Expect(admin.Delete(t.Context(), configuration(kind, recorderName))).To(Succeed())
			expectRestored(t, before, func(g Gomega) {
				again := configuration(kind, recorderName)
				g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(again), again)).To(Succeed())
			})
			g.Eventually(func() error { return waitRecording(t.Context(), tenant, shared) }).WithTimeout(patience).Should(Succeed())
		})
	}
	expectTold(t, "Delete validatingwebhookconfigurations "+recorderName)
	expectTold(t, "Delete mutatingwebhookconfigurations "+recorderName)
}

// TestTakingAPolicyAwayIsTold: that cannot be undone for whoever may do it, but it does not go unseen.
func TestTakingAPolicyAwayIsTold(t *testing.T) {
	withoutPolicy(t, "trailkeeper-auditeventchunks")
	expectTold(t, "Delete validatingadmissionpolicybindings trailkeeper-auditeventchunks")
}

func expectRestored(t *testing.T, before float64, inOrder func(Gomega)) {
	t.Helper()
	g := NewWithT(t)
	began := time.Now()
	g.Eventually(inOrder).WithTimeout(patience).WithPolling(20 * time.Millisecond).Should(Succeed())
	t.Logf("restored after %s", time.Since(began).Round(time.Millisecond))
	g.Eventually(func() float64 { return restoredTotal(t) }).WithTimeout(patience).WithPolling(polling).Should(Equal(before + 1))
}

// expectTold waits for what a watch shows: the tenant's trail has it, without what nobody should know.
func expectTold(t *testing.T, want string) {
	t.Helper()
	g := NewWithT(t)
	token := tokenInForce(t)
	g.Eventually(func() []string {
		var words []string
		for _, event := range eventsOf(t, tenant, func(e *v1alpha1.AuditEvent) bool { return e.Spec.Actor.Type == v1alpha1.ActorUnknown }) {
			words = append(words, summary(&event))
		}
		return words
	}).WithTimeout(patience).WithPolling(polling).Should(ContainElement(want))
	for _, event := range eventsOf(t, tenant, func(*v1alpha1.AuditEvent) bool { return true }) {
		encoded, err := json.Marshal(&event)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(encoded)).NotTo(ContainSubstring(token), "the path is for API servers only")
	}
}

// tokenInForce is the secret part of the webhook's paths.
func tokenInForce(t *testing.T) string {
	t.Helper()
	live := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	g := NewWithT(t)
	g.Eventually(func(g Gomega) {
		g.Expect(admin.Get(context.WithoutCancel(t.Context()), client.ObjectKey{Name: recorderName}, live)).To(Succeed())
		g.Expect(live.Webhooks).NotTo(BeEmpty())
	}).WithTimeout(patience).WithPolling(polling).Should(Succeed())
	url := *live.Webhooks[0].ClientConfig.URL
	token := url[len(url)-32:]
	g.Expect(token).To(MatchRegexp("^[0-9a-f]{32}$"))
	return token
}
