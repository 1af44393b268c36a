package controllers_test

import (
	"testing"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/controllers"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

// TestAttemptConfiguration: it is written once there is a certificate, put right and counted when somebody deletes or edits it,
// and left deleted while the replica stops.
func TestAttemptConfiguration(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	scheme := runtime.NewScheme()
	g.Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	g.Expect(admissionregistrationv1.AddToScheme(scheme)).To(Succeed())
	trail := webhookTestTrail("prod", v1alpha1.FailurePolicyIgnore)
	trail.Name = "trail"
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(trail).Build()
	var (
		bundle   []byte
		stopping bool
		restored int
	)
	r := &controllers.AttemptConfigurationReconciler{
		Client: c, APIReader: c, Options: rules.Options{OperatorNamespace: "trailkeeper-system"},
		Endpoint: controllers.URLEndpoint("https://127.0.0.1:9443"), CABundle: func() []byte { return bundle },
		Stopping: func() bool { return stopping }, OnRestored: func() { restored++ },
	}
	reconciled := func() error {
		_, err := r.Reconcile(ctx, reconcile.Request{})
		return err
	}
	read := func() (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
		live := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: controllers.WebhookConfigurationName}}
		return live, c.Get(ctx, client.ObjectKeyFromObject(live), live)
	}

	g.Expect(reconciled()).To(Succeed())
	_, err := read()
	g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "nothing could verify the recorder: %v", err)
	bundle = []byte("authority")
	g.Expect(reconciled()).To(Succeed())
	live, err := read()
	g.Expect(err).NotTo(HaveOccurred())
	intact := live.DeepCopy()
	g.Expect(intact.Webhooks).To(HaveLen(1))
	g.Expect(intact.Webhooks[0].ClientConfig.CABundle).To(Equal(bundle))
	g.Expect(r.Wrote(intact.ResourceVersion)).To(BeTrue())

	live.Webhooks[0].Rules = nil
	g.Expect(c.Update(ctx, live)).To(Succeed())
	g.Expect(r.Wrote(live.ResourceVersion)).To(BeFalse(), "somebody else did")
	g.Expect(reconciled()).To(Succeed())
	live, err = read()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(live.Webhooks).To(Equal(intact.Webhooks))
	g.Expect(restored).To(Equal(1))

	g.Expect(c.Delete(ctx, live)).To(Succeed())
	stopping = true
	g.Expect(reconciled()).To(Succeed())
	_, err = read()
	g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "the operator is being uninstalled: %v", err)
	g.Expect(restored).To(Equal(1))
	stopping = false
	g.Expect(reconciled()).To(Succeed())
	_, err = read()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(restored).To(Equal(2))
	g.Expect(reconciled()).To(Succeed())
	g.Expect(restored).To(Equal(2), "all is in order")
}
