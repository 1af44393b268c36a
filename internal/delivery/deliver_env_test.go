package delivery

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/metrics"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

func sortedByVersion(names map[uint64]string) []string {
	sorted := make([]string, 0, len(names))
	for _, version := range slices.Sorted(maps.Keys(names)) {
		sorted = append(sorted, names[version])
	}
	return sorted
}

func linkNames(t *testing.T, links []ledger.Link) []string {
	t.Helper()
	names := make([]string, len(links))
	for i := range links {
		var event struct{ Metadata struct{ Name string } }
		NewWithT(t).Expect(json.Unmarshal(links[i].Event, &event)).To(Succeed())
		names[i] = event.Metadata.Name
	}
	return names
}

// TestDeliversThroughFaults: whatever the destination does for a while, all arrives, in order, under one chain.
func TestDeliversThroughFaults(t *testing.T) {
	put := func(effect cloudsim.Effect, times int) cloudsim.Fault {
		return cloudsim.Fault{Action: "PutLogEvents", Effect: effect, Times: times}
	}
	tests := map[string]struct {
		fault cloudsim.Fault
		// repeats says that records come twice.
		repeats bool
	}{
		"throttled":               {put(cloudsim.Throttle, 3), false},
		"unavailable":             {put(cloudsim.Unavailable, 2), false},
		"a proxy's page of HTML":  {cloudsim.Fault{Action: "PutLogEvents", Effect: cloudsim.Fail, Status: 502, Times: 1}, false},
		"connection reset":        {put(cloudsim.Reset, 2), false},
		"accepted and not told":   {put(cloudsim.Drop, 2), true},
		"STS does not answer":     {cloudsim.Fault{Action: "GetCallerIdentity", Effect: cloudsim.Unavailable, Times: 1}, false},
		"key refused for a while": {cloudsim.Fault{Action: "PutLogEvents", Effect: cloudsim.Fail, Code: "UnrecognizedClientException", Times: 1}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			r := newRig(t)
			trail := r.trail(t)
			names := r.record(t, trail, 0, 30)
			r.auth.Forget(trail)
			r.sim.Inject(test.fault)
			l := r.lead(t)
			r.serve(t, l, trail)
			repeated := r.expect(t, trail, names)

			names = append(names, r.record(t, trail, 30, 5)...)
			repeated += r.expect(t, trail, names)
			g.Expect(repeated > 0).To(Equal(test.repeats), "%d records came twice", repeated)
			l.stop()
			g.Expect(r.read(t, trail).Status.Delivery).To(HaveField("Sequence", BeEquivalentTo(35)))
			g.Expect(r.read(t, trail).Status.Delivery).To(HaveField("Delivered", BeEquivalentTo(35)))
			g.Expect(meta.IsStatusConditionTrue(r.read(t, trail).Status.Conditions, v1alpha1.DeliveringCondition)).To(BeTrue())
		})
	}
}

// TestSaysWhyNothingArrives: the condition Delivering has the reason while a fault lasts.
func TestSaysWhyNothingArrives(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	trail := r.trail(t)
	names := r.record(t, trail, 0, 3)
	remove := r.sim.Inject(cloudsim.Fault{Action: "PutLogEvents", Effect: cloudsim.Fail, Code: "AccessDeniedException"})
	r.serve(t, r.lead(t), trail)
	delivering := func() *metav1.Condition {
		return meta.FindStatusCondition(r.read(t, trail).Status.Conditions, v1alpha1.DeliveringCondition)
	}
	g.Eventually(delivering, patience, 20*time.Millisecond).Should(And(Not(BeNil()),
		HaveField("Status", metav1.ConditionFalse), HaveField("Reason", v1alpha1.ReasonActionNotAllowed),
		HaveField("Message", ContainSubstring("logs:PutLogEvents"))))
	g.Expect(r.read(t, trail).Status.Delivery).To(HaveField("Pending", BeEquivalentTo(3)))
	remove()
	r.expect(t, trail, names)
	g.Eventually(delivering, patience, 20*time.Millisecond).Should(HaveField("Status", metav1.ConditionTrue))
}

// TestMakesTheDestinationAgain: somebody deletes the stream, or the group; what follows arrives in a new one.
func TestMakesTheDestinationAgain(t *testing.T) {
	for _, whole := range []bool{false, true} {
		t.Run(map[bool]string{false: "stream", true: "group and stream"}[whole], func(t *testing.T) {
			g := NewWithT(t)
			r := newRig(t)
			trail := r.trail(t)
			r.serve(t, r.lead(t), trail)
			r.expect(t, trail, r.record(t, trail, 0, 10))
			before, _ := r.arrived(g, trail, ledger.Genesis(string(trail.UID)))
			last := before[len(before)-1]

			r.destroy(t, trail, whole)
			names := r.record(t, trail, 10, 10)
			var links []ledger.Link
			g.Eventually(func(g Gomega) {
				links, _ = r.arrived(g, trail, ledger.Head{Sequence: last.Sequence, Hash: last.Hash})
				g.Expect(links).To(HaveLen(len(names)))
			}, patience, 20*time.Millisecond).Should(Succeed())
			g.Expect(linkNames(t, links)).To(Equal(names))
		})
	}
}

// TestQuarantinesThePoisonRecord: a record that the destination refuses for good costs itself only.
func TestQuarantinesThePoisonRecord(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	trail := r.trail(t)
	names := r.record(t, trail, 0, 16)
	// The batch of 16, and then its first 8, 4, 2 and 1.
	r.sim.Inject(cloudsim.Fault{Action: "PutLogEvents", Effect: cloudsim.Fail, Code: "InvalidParameterException", Times: 5})
	l := r.lead(t)
	r.serve(t, l, trail)
	g.Eventually(func() int { return len(r.messages(trail)) }, patience, 20*time.Millisecond).Should(Equal(15))
	l.stop()

	first, err := ledger.ReadLink([]byte(r.messages(trail)[0]))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(first.Sequence).To(BeEquivalentTo(2), "the refused record keeps its place in the chain")
	links, repeated := r.arrived(g, trail, ledger.Head{Sequence: 1, Hash: first.PreviousHash})
	g.Expect(linkNames(t, links)).To(Equal(names[1:]))
	g.Expect(repeated).To(BeZero())
	status := r.read(t, trail).Status.Delivery
	g.Expect(status).To(And(HaveField("Rejected", BeEquivalentTo(1)), HaveField("Delivered", BeEquivalentTo(15)),
		HaveField("Sequence", BeEquivalentTo(16)), HaveField("Pending", BeEquivalentTo(0))))
}

// TestAKilledLeaderLosesNothing: the next one replays from the cursor, identical in all that is hashed.
func TestAKilledLeaderLosesNothing(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	trail := r.trail(t)
	first := r.lead(t, func(o *Options) { o.CommitEvery = time.Hour })
	r.serve(t, first, trail)
	names := r.record(t, trail, 0, 10)
	r.expect(t, trail, names)
	names = append(names, r.record(t, trail, 10, 30)...)
	r.expect(t, trail, names)
	first.kill()
	committed := r.read(t, trail).Status.Delivery.Sequence
	g.Expect(committed).To(BeNumerically("<", 40), "the killed leader has written no cursor for the last events")

	registry := prometheus.NewRegistry()
	second := r.lead(t, func(o *Options) { o.Metrics = &metrics.Register(registry).Delivery })
	r.serve(t, second, trail)
	names = append(names, r.record(t, trail, 40, 5)...)
	repeated := r.expect(t, trail, names)
	g.Expect(testenv.MetricOf(registry, "trailkeeper_delivery_vanished_events_total", "")).To(BeZero())
	g.Expect(repeated).To(BeEquivalentTo(40 - committed))
	second.stop()
	g.Expect(r.read(t, trail).Status.Delivery.Sequence).To(BeEquivalentTo(45))
}

// TestADeposedLeaderStops: the cursor belongs to whoever moved it last.
func TestADeposedLeaderStops(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	trail := r.trail(t)
	old := r.lead(t)
	r.serve(t, old, trail)
	names := r.record(t, trail, 0, 5)
	r.expect(t, trail, names)
	g.Eventually(func() *v1alpha1.DeliveryStatus { return r.read(t, trail).Status.Delivery }, patience, 20*time.Millisecond).
		Should(HaveField("Sequence", BeEquivalentTo(5)))
	courier := old.serviceOf(client.ObjectKeyFromObject(trail))

	next := r.lead(t)
	r.serve(t, next, trail)
	names = append(names, r.record(t, trail, 5, 20)...)
	r.expect(t, trail, names)
	g.Eventually(func() bool {
		names = append(names, r.record(t, trail, len(names), 1)...)
		return courier.ended() || next.serviceOf(client.ObjectKeyFromObject(trail)).ended()
	}, patience, 50*time.Millisecond).Should(BeTrue(), "one of two leaders has to give way")
	r.expect(t, trail, names)
}

func TestASuspendedTrailPushesNothing(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	suspended := true
	trail := r.trail(t, func(trail *v1alpha1.AuditTrail) { trail.Spec.Suspend = &suspended })
	names := r.record(t, trail, 0, 5)
	l := r.lead(t)
	r.serve(t, l, trail)
	g.Consistently(func() int { return r.sim.Calls("PutLogEvents") }, 500*time.Millisecond, 20*time.Millisecond).Should(BeZero())

	fresh := r.read(t, trail)
	fresh.Spec.Suspend = nil
	g.Expect(r.Update(t.Context(), fresh)).To(Succeed())
	r.serve(t, l, trail)
	r.expect(t, trail, names)
}

func TestAClusterOnlyTrailIsAccountedFor(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	trail := r.trail(t, func(trail *v1alpha1.AuditTrail) {
		trail.Spec.Type, trail.Spec.CloudWatch = v1alpha1.TrailTypeClusterOnly, nil
	})
	last := r.record(t, trail, 0, 5)[4]
	r.serve(t, r.lead(t), trail)
	var event v1alpha1.AuditEvent
	g.Expect(r.Get(t.Context(), client.ObjectKey{Namespace: r.namespace, Name: last}, &event)).To(Succeed())
	version, err := apijson.ParseVersion(event.ResourceVersion)
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(func(g Gomega) {
		status := r.read(t, trail).Status.Delivery
		g.Expect(status).To(HaveField("Sequence", BeEquivalentTo(5)))
		at, err := apijson.ParseVersion(status.ResourceVersion)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(at).To(BeNumerically(">=", version))
	}, patience, 20*time.Millisecond).Should(Succeed())
	g.Expect(r.sim.Calls("")).To(BeZero())
}

// TestWritesWhatDidNotStick: the outcome travels with the record, and what is not Persisted is on the AuditEvent too,
// with the place in the order that the event had before that write.
func TestWritesWhatDidNotStick(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	trail := r.trail(t)
	web := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: "web"}}
	g.Expect(r.Create(t.Context(), web)).To(Succeed())
	past := time.Now().Add(-time.Minute)
	events := []*v1alpha1.AuditEvent{
		about(newEvent(trail, "created", past), v1alpha1.ActionCreate, string(web.UID), ""),
		about(newEvent(trail, "refused", past), v1alpha1.ActionCreate, "another-uid", ""),
		about(newEvent(trail, "overwritten", past), v1alpha1.ActionUpdate, string(web.UID), "1"),
		newEvent(trail, "connected", past),
	}
	for _, event := range events {
		g.Expect(r.Create(t.Context(), event)).To(Succeed())
	}
	first := r.lead(t)
	r.serve(t, first, trail)
	r.expect(t, trail, []string{"created", "refused", "overwritten", "connected"})
	links, _ := r.arrived(g, trail, ledger.Genesis(string(trail.UID)))
	first.stop()

	for i, want := range []v1alpha1.Outcome{v1alpha1.OutcomePersisted, v1alpha1.OutcomeNotPersisted, v1alpha1.OutcomeUnknown, ""} {
		var event v1alpha1.AuditEvent
		g.Expect(r.Get(t.Context(), client.ObjectKeyFromObject(events[i]), &event)).To(Succeed())
		g.Expect(links[i].Outcome).To(Equal(string(want)), event.Name)
		if want == v1alpha1.OutcomePersisted || want == "" {
			g.Expect(event.Status).To(BeZero(), event.Name)
			continue
		}
		g.Expect(event.Status.Outcome).To(Equal(want), event.Name)
		g.Expect(event.Status.Message).NotTo(BeEmpty())
		g.Expect(event.Status.RecordedResourceVersion).To(Equal(events[i].ResourceVersion))
		g.Expect(event.ResourceVersion).NotTo(Equal(events[i].ResourceVersion))
	}

	second := r.lead(t)
	r.serve(t, second, trail)
	names := append([]string{"created", "refused", "overwritten", "connected"}, r.record(t, trail, 0, 1)...)
	g.Expect(r.expect(t, trail, names)).To(BeZero(), "a status written later does not make an event new")
}

// TestDeliversABacklogThatDoesNotFit: what waits is more than one courier may hold in memory, and more than it pushes
// at once.
func TestDeliversABacklogThatDoesNotFit(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	trail := r.trail(t)
	const count = 3000
	names := r.record(t, trail, 0, count)
	l := r.lead(t)
	list := l.backlogOf(client.ObjectKeyFromObject(trail), trail.UID)
	list.limit = 1 << 20
	opened(t, list, 0)
	g.Expect(len(list.bodies)).To(BeNumerically("<", count), "the test needs a backlog that does not fit")

	r.serve(t, l, trail)
	names = append(names, r.record(t, trail, count, 50)...)
	g.Expect(r.expect(t, trail, names)).To(BeZero())
}
