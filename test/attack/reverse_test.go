package attack

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// TestWhatProtectsTheRecordIsInNobodysWay: garbage is collected, and a namespace with trails and events in it goes. What the
// tenant's trail recorded of it stays.
func TestWhatProtectsTheRecordIsInNobodysWay(t *testing.T) {
	g := NewWithT(t)
	const namespace = "passing"
	g.Expect(admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
	user := rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: worker}
	everything := rbacv1.PolicyRule{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}
	g.Expect(testenv.Create(t.Context(), admin, testenv.Rights(namespace, worker, user, everything)...)).To(Succeed())
	passing := clusterOnly(namespace, "passing")
	// The API server takes a moment to know of the rights.
	g.Eventually(func() error { return alice.Create(t.Context(), passing) }).WithTimeout(patience).WithPolling(polling).Should(Succeed())
	waitInForce(t, passing)
	g.Eventually(func() error { return waitRecording(t.Context(), passing, namespace) }).WithTimeout(patience).Should(Succeed())

	owner := &corev1.ConfigMap{ObjectMeta: named(namespace, "owner")}
	g.Expect(alice.Create(t.Context(), owner)).To(Succeed())
	owned := &corev1.ConfigMap{ObjectMeta: named(namespace, "owned")}
	owned.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID}}
	g.Expect(alice.Create(t.Context(), owned)).To(Succeed())
	g.Expect(alice.Delete(t.Context(), owner)).To(Succeed())
	gone := func(object client.Object) {
		t.Helper()
		g.Eventually(func() bool {
			return apierrors.IsNotFound(admin.Get(t.Context(), client.ObjectKeyFromObject(object), object))
		}).WithTimeout(patience).WithPolling(polling).Should(BeTrue(), object.GetName())
	}
	gone(owned)

	kept := work(t, tenant, namespace)
	unharmed(t, kept)
	// An event that names an owner, which only the operator could make, goes with it and holds nothing up.
	g.Expect(alice.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
	gone(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	var left v1alpha1.AuditEventList
	g.Expect(admin.List(t.Context(), &left, client.InNamespace(namespace))).To(Succeed())
	g.Expect(left.Items).To(BeEmpty())
}
