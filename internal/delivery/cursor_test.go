package delivery

import (
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
)

func TestLoadCursor(t *testing.T) {
	g := NewWithT(t)
	trail := newTrail("shop", "security")
	at, err := loadCursor(trail)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(at).To(Equal(cursor{head: ledger.Genesis(string(trail.UID))}))

	now := metav1.NewTime(recordedTime)
	trail.Status.Delivery = &v1alpha1.DeliveryStatus{
		ResourceVersion: "12", Sequence: 5, Hash: "abc", LastDeliveredTime: &now, Delivered: 4, Rejected: 1, Pending: 3,
	}
	at, err = loadCursor(trail)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(at.status(3, nil)).To(Equal(trail.Status.Delivery))

	trail.Status.Delivery.ResourceVersion = "twelve"
	_, err = loadCursor(trail)
	g.Expect(err).To(MatchError(ContainSubstring("shop/security")))
}

// TestCommitBelongsToOneReplica: a cursor is written only where this replica's last one stands.
func TestCommitBelongsToOneReplica(t *testing.T) {
	mine := func() *v1alpha1.DeliveryStatus { return &v1alpha1.DeliveryStatus{ResourceVersion: "10", Sequence: 1} }
	moved := func(trail *v1alpha1.AuditTrail) {
		trail.Status.Delivery = &v1alpha1.DeliveryStatus{ResourceVersion: "11", Sequence: 2}
		touch(trail)
	}
	tests := map[string]struct {
		prepare func(f *fakeTrails)
		// deposed is a part of the reason; empty when the cursor is written.
		deposed string
	}{
		"as it was left":           {func(*fakeTrails) {}, ""},
		"another has moved it":     {func(f *fakeTrails) { moved(f.trail) }, "another replica"},
		"another has removed it":   {func(f *fakeTrails) { f.trail.Status.Delivery = nil }, "another replica"},
		"the trail is gone":        {func(f *fakeTrails) { f.trail = nil }, "gone"},
		"the trail was made again": {func(f *fakeTrails) { f.trail.UID = "another" }, "made again"},
		"somebody writes the spec": {func(f *fakeTrails) { f.before = touch }, ""},
		"another moves it meanwhile": {
			func(f *fakeTrails) { f.before = moved }, "another replica",
		},
		"it is made again meanwhile": {
			func(f *fakeTrails) { f.before = func(trail *v1alpha1.AuditTrail) { trail.UID = "another" } }, "made again",
		},
		"stored times are cut": {func(f *fakeTrails) {
			now := metav1.NewTime(recordedTime)
			f.trail.Status.Delivery.LastDeliveredTime = &now
		}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			trail := newTrail("shop", "security")
			trail.Status.Delivery = mine()
			f := newFakeTrails(trail)
			test.prepare(f)
			c := &committer{reader: f, client: f, clock: clocktesting.NewFakePassiveClock(recordedTime)}
			next := &v1alpha1.DeliveryStatus{ResourceVersion: "20", Sequence: 9}
			err := c.commit(t.Context(), trail, progress{delivery: mine()}, progress{delivery: next}, State{})
			if test.deposed == "" {
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(f.status(t).Delivery).To(Equal(next))
				g.Expect(f.status(t).Conditions).To(ConsistOf(And(
					HaveField("Type", v1alpha1.DeliveringCondition), HaveField("Status", metav1.ConditionTrue))))
				return
			}
			var deposed *deposedError
			g.Expect(errors.As(err, &deposed)).To(BeTrue(), "got %v", err)
			g.Expect(err).To(MatchError(ContainSubstring(test.deposed)))
			g.Expect(f.applied).To(BeEmpty())
		})
	}
}

// TestAnAnswerThatGotLostDeposesNobody: the API server stored the cursor and the answer did not arrive. The next try
// finds this replica's own cursor, not another's.
func TestAnAnswerThatGotLostDeposesNobody(t *testing.T) {
	for name, stored := range map[string]bool{"stored": true, "not stored": false} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			b := newBench(t, newTrail("shop", "security"))
			c := b.courier(t)
			c.at.version, c.at.head.Sequence = 20, 9
			b.trails.err, b.trails.lost = errors.New("no answer in time"), stored
			g.Expect(c.commit(t.Context())).NotTo(Succeed())
			c.at.version, c.at.head.Sequence = 30, 12 // Delivery goes on meanwhile.
			c.stop(t.Context())
			g.Expect(b.trails.status(t).Delivery.Sequence).To(BeEquivalentTo(12))
		})
	}
}

func TestCommitsOnlyWhatTellsSomethingNew(t *testing.T) {
	g := NewWithT(t)
	b := newBench(t, newTrail("shop", "security"))
	c := b.courier(t)
	g.Expect(c.commit(t.Context())).To(Succeed())
	c.at.version = 500 // Only other trails had events.
	g.Expect(c.commit(t.Context())).To(Succeed())
	g.Expect(b.trails.applied).To(HaveLen(1))

	c.report(State{Reason: v1alpha1.ReasonThrottled, Message: "CloudWatch Logs asks for fewer calls"})
	g.Expect(c.commitIfDue(t.Context())).To(Succeed())
	g.Expect(b.trails.applied).To(HaveLen(2), "a change of state is shown at once")
	g.Expect(b.trails.status(t).Conditions).To(ConsistOf(HaveField("Reason", v1alpha1.ReasonThrottled)))

	c.at.head.Sequence++
	g.Expect(c.commitIfDue(t.Context())).To(Succeed())
	g.Expect(b.trails.applied).To(HaveLen(2), "200 busy trails must not cost 200 writes a second")
	c.commitAt = c.clock().Now().Add(-time.Millisecond)
	g.Expect(c.commitIfDue(t.Context())).To(Succeed())
	g.Expect(b.trails.applied).To(HaveLen(3))
}
