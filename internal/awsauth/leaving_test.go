package awsauth

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

// TestTheLastSessionOutlivesItsNamespace: what is left is pushed with it, and with nothing else that somebody might still have.
func TestTheLastSessionOutlivesItsNamespace(t *testing.T) {
	byToken := func() *v1alpha1.AuditTrail {
		trail := roleTrail("shop")
		trail.Spec.CloudWatch.Auth.STS.ServiceAccountName = "pusher"
		return trail
	}
	for name, makeTrail := range map[string]func() *v1alpha1.AuditTrail{"keys": keyTrail, "a token": byToken} {
		for _, leaving := range []bool{true, false} {
			t.Run(name+map[bool]string{true: " of a namespace that goes", false: " of one that stays"}[leaving], func(t *testing.T) {
				g := NewWithT(t)
				namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Finalizers: []string{"kubernetes"}}}
				secret := awsSecret(map[string]string{"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "s3cr3t"})
				c := fake.NewClientBuilder().WithObjects(namespace, secret).Build()
				a, trail := newAuthenticator(c), makeTrail()
				before, err := a.Session(t.Context(), trail)
				g.Expect(err).NotTo(HaveOccurred())

				if leaving {
					g.Expect(c.Delete(t.Context(), namespace)).To(Succeed())
				}
				g.Expect(c.Delete(t.Context(), secret)).To(Succeed())
				a.Changed(t.Context(), trail)
				trail.Generation++ // Its deletion.
				after, err := a.Session(t.Context(), trail)
				switch {
				case leaving:
					g.Expect(err).NotTo(HaveOccurred())
					g.Expect(after).To(BeIdenticalTo(before))
				case trail.Spec.CloudWatch.Auth.Credentials != nil:
					g.Expect(fault.ReasonOf(err)).To(Equal(v1alpha1.ReasonSecretNotFound))
				default:
					g.Expect(err).NotTo(HaveOccurred())
					g.Expect(after).NotTo(BeIdenticalTo(before), "it asks for a token, which it does not get")
				}

				a.Forget(trail)
				after, err = a.Session(t.Context(), trail)
				if err == nil {
					g.Expect(after).NotTo(BeIdenticalTo(before), "what AWS refused is not used again")
				}
			})
		}
	}
}
