package recording

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// admissionConfigurations are one of each kind that the API server sends to no webhook. They match nothing.
func admissionConfigurations() map[string]client.Object {
	meta := metav1.ObjectMeta{Name: "observed"}
	url := admissionregistrationv1.WebhookClientConfig{URL: ptr.To("https://127.0.0.1:1/x")}
	none := admissionregistrationv1.SideEffectClassNone
	match := &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
		RuleWithOperations: admissionregistrationv1.RuleWithOperations{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{"none.example.com"}, APIVersions: []string{"v1"}, Resources: []string{"none"}},
		},
	}}}
	return map[string]client.Object{
		"ValidatingWebhookConfiguration": &admissionregistrationv1.ValidatingWebhookConfiguration{
			ObjectMeta: meta, Webhooks: []admissionregistrationv1.ValidatingWebhook{{
				Name: "a.example.com", ClientConfig: url, SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			}},
		},
		"MutatingWebhookConfiguration": &admissionregistrationv1.MutatingWebhookConfiguration{
			ObjectMeta: meta, Webhooks: []admissionregistrationv1.MutatingWebhook{{
				Name: "a.example.com", ClientConfig: url, SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			}},
		},
		"ValidatingAdmissionPolicy": &admissionregistrationv1.ValidatingAdmissionPolicy{
			ObjectMeta: meta, Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
				MatchConstraints: match, Validations: []admissionregistrationv1.Validation{{Expression: "true"}},
			},
		},
		"ValidatingAdmissionPolicyBinding": &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
			ObjectMeta: meta, Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName: "nothing", ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Warn},
			},
		},
	}
}

func TestAdmissionConfigurationsAreObserved(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	tenant, _ := newTenant(t,
		// Who made the change cannot be told, so these rules do not leave it out.
		v1alpha1.Rule{Level: v1alpha1.LevelNone, Users: []string{"*"}, Resources: resources("admissionregistration.k8s.io", "*")},
		v1alpha1.Rule{
			Level: v1alpha1.LevelNone, Actors: []v1alpha1.ActorType{v1alpha1.ActorUser},
			Resources: resources("admissionregistration.k8s.io", "*"),
		},
		v1alpha1.Rule{Level: v1alpha1.LevelChanges, Resources: resources("admissionregistration.k8s.io", "*")},
	)
	for kind, object := range admissionConfigurations() {
		g.Expect(aliceClient.Create(t.Context(), object, client.FieldOwner("by-hand"))).To(Succeed(), kind)
		g.Expect(aliceClient.Patch(t.Context(), object, client.RawPatch("application/merge-patch+json",
			[]byte(`{"metadata":{"labels":{"team":"blue"}}}`)), client.FieldOwner("somebody"))).To(Succeed(), kind)
		g.Expect(aliceClient.Delete(t.Context(), object)).To(Succeed(), kind)

		recorded := func() []v1alpha1.AuditEventSpec {
			return events(t, testenv.OperatorNamespace, ofTrail(tenant), ofKind(kind), named("observed"))
		}
		g.Eventually(func() int { return len(recorded()) }).WithTimeout(patience).WithPolling(100*time.Millisecond).Should(Equal(3), kind)
		created, updated, deleted := recorded()[0], recorded()[1], recorded()[2]
		g.Expect([]v1alpha1.Action{created.Action, updated.Action, deleted.Action}).To(Equal(
			[]v1alpha1.Action{v1alpha1.ActionCreate, v1alpha1.ActionUpdate, v1alpha1.ActionDelete}))
		for _, event := range recorded() {
			g.Expect(event.Actor.Type).To(Equal(v1alpha1.ActorUnknown))
			g.Expect(event.Actor.Username).To(BeEmpty())
			g.Expect(event.Resource.UID).To(BeEquivalentTo(object.GetUID()))
			g.Expect(event.Request.UID).To(BeEmpty())
		}
		g.Expect(created.Request.FieldManager).To(Equal("by-hand"))
		g.Expect(updated.Request.FieldManager).To(Equal("somebody"), "the latest field manager is a hint")
		g.Expect(changesOf(t, &updated)).To(MatchJSON(`[{"op":"add","path":"/metadata/labels","value":{"team":"blue"}}]`))
	}
}
