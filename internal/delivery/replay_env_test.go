package delivery

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// TestTheAPIServerRemembers what was created and deleted at once, and that a uid never was.
func TestTheAPIServerRemembers(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	o := &objects{r.rest}
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
	_, since, err := o.at(t.Context(), ref(&corev1.ConfigMap{}, "web"), 0)
	g.Expect(err).NotTo(HaveOccurred())

	first := newOne()
	g.Expect(r.Delete(t.Context(), first)).To(Succeed())
	second := newOne()
	g.Expect(r.Delete(t.Context(), second)).To(Succeed())

	for _, there := range []*corev1.ConfigMap{first, second} {
		g.Expect(o.appeared(t.Context(), ref(there, "web"), since)).To(BeTrue())
	}
	never := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{UID: "never"}}
	g.Expect(o.appeared(t.Context(), ref(never, "web"), since)).To(BeFalse())
	g.Expect(o.appeared(t.Context(), ref(first, "other"), since)).To(BeFalse(), "it had another name")

	ended, err := parseVersion(second.ResourceVersion)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(o.appeared(t.Context(), ref(first, "web"), ended)).To(BeFalse(), "it was there before only")
}
