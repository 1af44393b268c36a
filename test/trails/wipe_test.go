package trails

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
)

// TestWhatTheWipeTakesIsDelivered: the AuditEvents of a namespace that is deleted go at once, also those that a slow
// destination has not taken yet, and so does what the trail's identity is read from. The trail stays until they have arrived.
func TestWhatTheWipeTakesIsDelivered(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, namespace string) v1alpha1.Auth{
		"role": func(t *testing.T, namespace string) v1alpha1.Auth {
			t.Helper()
			grant(t, namespace, roleARN(namespace))
			return byRole(namespace)
		},
		"keys": func(t *testing.T, namespace string) v1alpha1.Auth {
			t.Helper()
			allow(t, namespace, "secrets", secretName, "get", "list", "watch")
			putSecret(t, namespace, keys(newUser(namespace, 1)))
			return byKeys()
		},
		"token": func(t *testing.T, namespace string) v1alpha1.Auth {
			t.Helper()
			g := NewWithT(t)
			g.Expect(admin.Create(t.Context(), &corev1.ServiceAccount{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: accountName},
			})).To(Succeed())
			allow(t, namespace, "serviceaccounts/token", accountName, "create")
			return byToken(namespace)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, "wiped-"+name)
			expectWipedIsDelivered(t, namespace, prepare(t, namespace))
		})
	}
}

func expectWipedIsDelivered(t *testing.T, namespace string, auth v1alpha1.Auth) {
	t.Helper()
	g := NewWithT(t)
	trail := newTrail(namespace, auth)
	startTrail(t, trail, namespace)
	expectDelivered(t, trail, namespace)

	remove := aws.Inject(cloudsim.Fault{Action: "PutLogEvents", Group: trail.Spec.CloudWatch.LogGroupName, Effect: cloudsim.Unavailable})
	var made []string
	for range 50 {
		made = append(made, change(t, namespace, "made-"))
	}
	g.Expect(admin.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
	g.Eventually(func() []v1alpha1.AuditEvent {
		var left v1alpha1.AuditEventList
		g.Expect(admin.List(t.Context(), &left, client.InNamespace(namespace))).To(Succeed())
		return left.Items
	}).WithTimeout(patience).WithPolling(polling).Should(BeEmpty())
	g.Consistently(func() error {
		return admin.Get(t.Context(), client.ObjectKeyFromObject(trail), trail)
	}).WithTimeout(5*time.Second).WithPolling(polling).Should(Succeed(), "the trail must wait for what it has not delivered")

	remove()
	g.Eventually(func(g Gomega) {
		names, _ := delivered(g, trail)
		for _, name := range made {
			g.Expect(names).To(HaveKey(name))
		}
	}).WithTimeout(patience).WithPolling(polling).Should(Succeed())
	g.Eventually(func() bool {
		return apierrors.IsNotFound(admin.Get(t.Context(), client.ObjectKey{Name: namespace}, &corev1.Namespace{}))
	}).WithTimeout(patience).WithPolling(polling).Should(BeTrue())
}
