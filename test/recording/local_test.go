package recording

import (
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// TestLocalEventsSayWhereToLook: they are stored after their change, and tell a resourceVersion from before it.
func TestLocalEventsSayWhereToLook(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newNamespace(t)
	trail := clusterOnly(namespace, "project")
	trail.Spec.Recording.Durability = v1alpha1.DurabilityLocal
	startTrail(t, trail, namespace)

	object := create(t, namespace, configMap("web"))
	made, err := strconv.Atoi(object.ResourceVersion)
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(func(g Gomega) {
		var list v1alpha1.AuditEventList
		g.Expect(admin.List(t.Context(), &list, client.InNamespace(namespace),
			client.MatchingFields{v1alpha1.FieldResourceName: object.Name})).To(Succeed())
		g.Expect(list.Items).To(HaveLen(1))
		stored, err := strconv.Atoi(list.Items[0].ResourceVersion)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(stored).To(BeNumerically(">", made))
		before, err := strconv.Atoi(list.Items[0].Annotations[v1alpha1.KeptLocallyAnnotation])
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(before).To(And(BeNumerically(">", 0), BeNumerically("<", made)))
	}).WithTimeout(patience).WithPolling(500 * time.Millisecond).Should(Succeed())
}
