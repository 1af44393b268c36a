package delivery

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/metrics"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// wipe deletes all AuditEvents of the rig's namespace, as the namespace controller does.
func (r *rig) wipe(t *testing.T) {
	t.Helper()
	NewWithT(t).Expect(r.DeleteAllOf(t.Context(), &v1alpha1.AuditEvent{}, client.InNamespace(r.namespace))).To(Succeed())
}

// kept has a deleted trail stay, as the trail controller does.
func kept(trail *v1alpha1.AuditTrail) { trail.Finalizers = []string{v1alpha1.TrailFinalizer} }

// TestWhatIsWipedIsDelivered: a destination that is away takes, when it is back, what was recorded before the namespace was
// wiped; until then the trail is not drained.
func TestWhatIsWipedIsDelivered(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	trail := r.trail(t, kept)
	l := r.lead(t)
	r.serve(t, l, trail)
	names := r.record(t, trail, 0, 5)
	r.expect(t, trail, names)

	remove := r.sim.Inject(cloudsim.Fault{Action: "PutLogEvents", Effect: cloudsim.Unavailable})
	names = append(names, r.record(t, trail, 5, 100)...)
	r.wipe(t)
	g.Expect(r.Delete(t.Context(), trail)).To(Succeed())
	r.serve(t, l, trail)
	// Another replica may ask: it knows what the status says.
	asking := New(Options{Namespace: operatorNamespace, REST: r.rest, Client: r})
	drained := func() (bool, error) { return asking.Drained(t.Context(), r.read(t, trail)) }
	g.Consistently(drained, 500*time.Millisecond, 20*time.Millisecond).Should(BeFalse())

	remove()
	r.expect(t, trail, names)
	g.Eventually(drained, patience, 20*time.Millisecond).Should(BeTrue())
}

// TestWhatVanishedIsTold: a leader that comes after the wipe cannot deliver what the one before had in memory, and says so.
func TestWhatVanishedIsTold(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	trail := r.trail(t)
	first := r.lead(t)
	r.serve(t, first, trail)
	names := r.record(t, trail, 0, 5)
	r.expect(t, trail, names)
	r.sim.Inject(cloudsim.Fault{Action: "PutLogEvents", Effect: cloudsim.Unavailable})
	lost := r.record(t, trail, 5, 10)
	g.Eventually(func() *v1alpha1.DeliveryStatus { return r.read(t, trail).Status.Delivery }, patience, 20*time.Millisecond).
		Should(HaveField("Pending", BeEquivalentTo(10)))
	first.kill()
	for _, name := range lost[:7] {
		g.Expect(r.Delete(t.Context(), &v1alpha1.AuditEvent{
			ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: name},
		})).To(Succeed())
	}

	registry := prometheus.NewRegistry()
	r.serve(t, r.lead(t, func(o *Options) { o.Metrics = &metrics.Register(registry).Delivery }), trail)
	g.Eventually(func() (float64, error) {
		return testenv.MetricOf(registry, "trailkeeper_delivery_vanished_events_total", "")
	}, patience, 20*time.Millisecond).Should(BeEquivalentTo(7))
}

// TestASuspendedTrailWithNothingToDeliverIsDrained: it must not hold up its own deletion.
func TestASuspendedTrailWithNothingToDeliverIsDrained(t *testing.T) {
	r := newRig(t)
	suspended := true
	trail := r.trail(t, kept, func(trail *v1alpha1.AuditTrail) { trail.Spec.Suspend = &suspended })
	l := r.lead(t)
	r.serve(t, l, trail)
	NewWithT(t).Expect(r.Delete(t.Context(), trail)).To(Succeed())
	r.serve(t, l, trail)
	NewWithT(t).Eventually(func() (bool, error) { return l.Drained(t.Context(), r.read(t, trail)) }, patience, 20*time.Millisecond).
		Should(BeTrue())
}
