package recording

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// TestANamespaceWithABrokenTrailGoes deletes namespaces whose trails cannot reach AWS, or never had credentials. Their
// Secrets, Roles and RoleBindings go with them, in any order.
func TestANamespaceWithABrokenTrailGoes(t *testing.T) {
	for name, withSecret := range map[string]bool{"unreachable": true, "without-a-secret": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			namespace := "broken-" + name
			broken := brokenTrail(namespace)
			g.Expect(admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
			if withSecret {
				shareKeys(t, namespace)
			}
			g.Expect(admin.Create(t.Context(), broken)).To(Succeed())
			g.Eventually(func(g Gomega) {
				g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(broken), broken)).To(Succeed())
				g.Expect(meta.FindStatusCondition(broken.Status.Conditions, v1alpha1.ReadyCondition)).NotTo(BeNil())
				g.Expect(meta.IsStatusConditionTrue(broken.Status.Conditions, v1alpha1.RecordingCondition)).To(BeTrue())
			}).WithTimeout(patience).Should(Succeed())
			_, err := alice.CoreV1().ConfigMaps(namespace).Create(t.Context(),
				&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "change"}}, metav1.CreateOptions{})
			g.Expect(err).NotTo(HaveOccurred())

			g.Expect(alice.CoreV1().Namespaces().Delete(t.Context(), namespace, metav1.DeleteOptions{})).To(Succeed())
			g.Eventually(func() error {
				return admin.Get(t.Context(), client.ObjectKey{Name: namespace}, &corev1.Namespace{})
			}).WithTimeout(2 * patience).WithPolling(200 * time.Millisecond).Should(MatchError(ContainSubstring("not found")))
			// Whether the deletion of the ConfigMap is recorded, beside the operator, depends on what the namespace controller
			// deletes first. When it is, it could not be delivered, and the trail's end says so.
			g.Expect(leftBehind(t, namespace)).To(Or(BeEmpty(), ContainSubstring(
				"AuditTrail "+namespace+"/broken was deleted after waiting 3s: recorded events are not delivered")))
		})
	}
}

// brokenTrail pushes to an address where nobody listens.
func brokenTrail(namespace string) *v1alpha1.AuditTrail {
	return &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "broken"},
		Spec: v1alpha1.AuditTrailSpec{
			Type: v1alpha1.TrailTypeCloudWatch,
			CloudWatch: &v1alpha1.CloudWatchDestination{
				Region: "eu-west-1", LogGroupName: "/audit/broken",
				Auth: v1alpha1.Auth{Credentials: &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "aws"}}},
			},
			Rules: []v1alpha1.Rule{{
				Level: v1alpha1.LevelMetadata, Resources: []v1alpha1.GroupResources{{Resources: []string{"configmaps"}}},
			}},
			DeletionPolicy: v1alpha1.DeletionPolicyDeleteStream,
		},
	}
}

func shareKeys(t *testing.T, namespace string) {
	t.Helper()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "aws"},
		StringData: map[string]string{"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "s3cr3t"},
	}
	rights := testenv.Rights(namespace, "aws", testenv.OperatorSubject(), testenv.Core("secrets", []string{"aws"}, "get"))
	NewWithT(t).Expect(testenv.Create(t.Context(), admin, append(rights, secret)...)).To(Succeed())
}

// leftBehind is what the Events about a namespace say was left behind in it.
func leftBehind(t *testing.T, namespace string) string {
	t.Helper()
	var events corev1.EventList
	NewWithT(t).Expect(admin.List(t.Context(), &events, client.InNamespace(metav1.NamespaceDefault))).To(Succeed())
	var found []string
	for i := range events.Items {
		if events.Items[i].Reason == "LeftBehind" && events.Items[i].InvolvedObject.Name == namespace {
			found = append(found, events.Items[i].Message)
		}
	}
	return strings.Join(found, "\n")
}
