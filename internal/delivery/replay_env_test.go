package delivery

import (
	"maps"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/objects"
)

// TestTheAPIServerRemembers what was created and deleted at once, and that a uid never was.
func TestTheAPIServerRemembers(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	o := objects.New(r.rest, clock.RealClock{}, func() (lasted, ago time.Duration) { return 0, 0 })
	ref := func(object client.Object, name string) *v1alpha1.ResourceReference {
		return &v1alpha1.ResourceReference{
			Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespace: r.namespace, Name: name, UID: string(object.GetUID()),
		}
	}
	newOne := func() *corev1.ConfigMap {
		one := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: "web"}}
		g.Expect(r.Create(t.Context(), one)).To(Succeed())
		return one
	}
	_, since, err := o.At(t.Context(), ref(&corev1.ConfigMap{}, "web"), 0)
	g.Expect(err).NotTo(HaveOccurred())

	first := newOne()
	g.Expect(r.Delete(t.Context(), first)).To(Succeed())
	second := newOne()
	g.Expect(r.Delete(t.Context(), second)).To(Succeed())

	appeared := func(since uint64, refs ...*v1alpha1.ResourceReference) []string {
		found, err := o.Appeared(t.Context(), refs, since)
		g.Expect(err).NotTo(HaveOccurred())
		return slices.Sorted(maps.Keys(found))
	}
	for _, there := range []*corev1.ConfigMap{first, second} {
		g.Expect(appeared(since, ref(there, "web"))).To(HaveLen(1))
	}
	never := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{UID: "never"}}
	g.Expect(appeared(since, ref(never, "web"))).To(BeEmpty())
	g.Expect(appeared(since, ref(first, "other"))).To(BeEmpty(), "it had another name")
	g.Expect(appeared(since, ref(never, "never"), ref(first, "web"), ref(second, "web"))).
		To(ConsistOf(string(first.UID), string(second.UID)), "of several names at once")

	ended, err := apijson.ParseVersion(second.ResourceVersion)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(appeared(ended, ref(first, "web"))).To(BeEmpty(), "it was there before only")
}
