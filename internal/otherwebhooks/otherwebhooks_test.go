package otherwebhooks

import (
	"context"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

func configuration(name string, seconds *int32, operation admissionregistrationv1.OperationType, group, form string) *admissionregistrationv1.ValidatingWebhookConfiguration {
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{Name: name + ".example.com", TimeoutSeconds: seconds,
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{operation},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: []string{form}},
			}}}},
	}
}

func TestLongest(t *testing.T) {
	w := New(fake.NewFakeClient(
		configuration("own", ptr.To[int32](30), "*", "*", "*/*"),
		configuration("all", ptr.To[int32](3), "*", "*", "*"),
		configuration("default", nil, "CREATE", "apps", "deployments"),
		configuration("delete", ptr.To[int32](5), "DELETE", "", "pods"),
		configuration("evict", ptr.To[int32](20), "CREATE", "", "pods/eviction"),
		configuration("finalize", ptr.To[int32](7), "UPDATE", "", "configmaps"),
		configuration("parts", ptr.To[int32](9), "UPDATE", "apps", "*/*"),
	), "own", clocktesting.NewFakeClock(time.Now()))
	g := NewWithT(t)
	g.Expect(w.Longest(&v1alpha1.ResourceReference{Resource: "pods"}, v1alpha1.ActionCreate)).To(BeZero(), "nothing is known yet")
	g.Expect(w.Refresh(t.Context())).To(Succeed())
	for _, test := range []struct {
		ref    v1alpha1.ResourceReference
		action v1alpha1.Action
		want   int
	}{
		{v1alpha1.ResourceReference{Group: "apps", Resource: "deployments"}, v1alpha1.ActionCreate, 10},
		{v1alpha1.ResourceReference{Group: "apps", Resource: "deployments"}, v1alpha1.ActionUpdate, 9},
		{v1alpha1.ResourceReference{Group: "apps", Resource: "deployments", Subresource: "scale"}, v1alpha1.ActionUpdate, 9},
		{v1alpha1.ResourceReference{Group: "apps", Resource: "deployments", Subresource: "scale"}, v1alpha1.ActionCreate, 0},
		{v1alpha1.ResourceReference{Group: "batch", Resource: "jobs"}, v1alpha1.ActionUpdate, 3},
		{v1alpha1.ResourceReference{Resource: "pods"}, v1alpha1.ActionDelete, 5},
		{v1alpha1.ResourceReference{Resource: "pods", Subresource: "eviction"}, v1alpha1.ActionDelete, 20},
		{v1alpha1.ResourceReference{Resource: "configmaps"}, v1alpha1.ActionDelete, 7},
		{v1alpha1.ResourceReference{Resource: "configmaps"}, v1alpha1.ActionConnect, 3},
	} {
		for range 2 { // The second one is remembered.
			g.Expect(w.Longest(&test.ref, test.action)).To(Equal(time.Duration(test.want)*time.Second), "%s of %s/%s in %s",
				test.action, test.ref.Resource, test.ref.Subresource, test.ref.Group)
		}
	}
}

func TestChangesAreNoticed(t *testing.T) {
	g := NewWithT(t)
	clock := clocktesting.NewFakeClock(time.Now())
	var failure error
	api := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if failure != nil {
				return failure
			}
			return c.List(ctx, list, options...)
		},
	}).Build()
	w := New(api, "own", clock)
	pods := &v1alpha1.ResourceReference{Resource: "pods"}
	failure = errors.New("no API server")
	g.Expect(w.Refresh(t.Context())).To(MatchError(failure))
	failure = nil
	g.Expect(w.Refresh(t.Context())).To(Succeed())
	g.Expect(w.Longest(pods, v1alpha1.ActionUpdate)).To(BeZero())
	g.Expect(api.Create(t.Context(), configuration("all", nil, "*", "*", "*"))).To(Succeed())
	g.Expect(w.Refresh(t.Context())).To(Succeed())
	g.Expect(w.Longest(pods, v1alpha1.ActionUpdate)).To(BeZero(), "it was listed a moment ago")
	clock.Step(listEvery)
	g.Expect(w.Refresh(t.Context())).To(Succeed())
	g.Expect(w.Longest(pods, v1alpha1.ActionUpdate)).To(Equal(10 * time.Second))
}
