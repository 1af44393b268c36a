package delivery

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/pause"
)

// TestWhatIsRefusedForItsTimeIsSentAgain: the group keeps records for less long than delivery was away.
func TestWhatIsRefusedForItsTimeIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		b.sink.keeps = 24 * time.Hour
		c := b.courier(t)
		for n, age := range []time.Duration{49 * time.Hour, 48 * time.Hour, time.Hour} {
			b.offer(t, c, uint64(n+1), newEvent(b.trail, eventName(n), time.Now().Add(-age)))
		}
		stop := b.start(t, c)
		pause.For(t.Context(), time.Minute)
		stop()
		g.Expect(b.sink.messages()).To(HaveLen(3))
		g.Expect(b.trails.status(t).Delivery).To(And(HaveField("Rejected", BeZero()), HaveField("Delivered", BeEquivalentTo(3))))
		g.Expect(b.counted(t, "delivery_restamped_records_total", refusedExpired)).To(BeEquivalentTo(2))
		g.Expect(b.counted(t, "delivery_delivered_records_total", "")).To(BeEquivalentTo(3))
		g.Expect(b.counted(t, "delivery_rejected_records_total", "")).To(BeZero())
		g.Expect(b.gaps).To(BeEmpty())
	})
}

// TestWhatNoTimeHelpsIsAccountedFor by what was refused: here the destination refuses the present, too.
func TestWhatNoTimeHelpsIsAccountedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		b.sink.refuses = []cloudwatch.PutResult{{TooOld: 1, Expired: 1, Accepted: 1, TooNew: 2}, {TooOld: 1}, {Accepted: 1}, {Accepted: 1, TooNew: 1}}
		c := b.courier(t)
		for n := range 5 {
			b.offer(t, c, uint64(n+1), newEvent(b.trail, eventName(n), time.Now()))
		}
		stop := b.start(t, c)
		pause.For(t.Context(), time.Minute)
		stop()
		g.Expect(b.trails.status(t).Delivery).To(And(HaveField("Rejected", BeEquivalentTo(2)), HaveField("Delivered", BeEquivalentTo(3))))
		for reason, count := range map[string]int{refusedTooOld: 1, refusedExpired: 0, refusedTooNew: 1} {
			g.Expect(b.counted(t, "delivery_rejected_records_total", reason)).To(BeEquivalentTo(count), reason)
		}
		g.Expect(b.counted(t, "delivery_quarantined_records_total", "")).To(BeZero())
		g.Expect(b.gaps).To(HaveExactElements(HaveField("Notice.Message",
			"The destination refused the records of 2 events for good (TooOld, TooNew): event-00000, event-00004")))
	})
}

// TestADestinationThatTakesNothingIsNoPoison: somebody mends it, and nothing was given up.
func TestADestinationThatTakesNothingIsNoPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		for range 100 {
			b.sink.errs = append(b.sink.errs, refused(v1alpha1.ReasonRecordRejected))
		}
		c := b.courier(t)
		for n := range 5 {
			b.offer(t, c, uint64(n+1), newEvent(b.trail, eventName(n), time.Now()))
		}
		stop := b.start(t, c)
		pause.For(t.Context(), 5*time.Minute)
		g.Expect(b.trails.status(t).Conditions).To(ContainElement(HaveField("Reason", v1alpha1.ReasonRecordRejected)))
		pause.For(t.Context(), 2*time.Hour)
		stop()
		g.Expect(linkNames(t, b.links(t))).To(Equal(numbered(5)))
		g.Expect(b.trails.status(t).Delivery.Rejected).To(BeZero())
		g.Expect(b.gaps).To(BeEmpty())
	})
}

// TestAGapIsToldBeforeTheCursorPasses: whoever crashes in between tells of it again.
func TestAGapIsToldBeforeTheCursorPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		b.sink.poison = "poison"
		left, tell := 3, b.Announce
		b.Announce = func(ctx context.Context, gap Gap) error {
			if left--; left >= 0 {
				g.Expect(b.trails.status(t).Delivery).To(BeNil())
				return errors.New("no API server")
			}
			return tell(ctx, gap)
		}
		c := b.courier(t)
		event := newEvent(b.trail, eventName(0), time.Now())
		event.Spec.Note = "this is poison"
		b.offer(t, c, 1, event)
		stop := b.start(t, c)
		pause.For(t.Context(), time.Minute)
		stop()
		g.Expect(b.gaps).To(HaveLen(1))
		g.Expect(b.trails.status(t).Delivery.Rejected).To(BeEquivalentTo(1))
	})
}

// TestAGap names some events, counts all, and tells of no notice.
func TestAGap(t *testing.T) {
	g := NewWithT(t)
	trail := newTrail("shop", "security")
	var missing gap
	notice := newEvent(trail, "told", time.Now())
	notice.Spec.Action = v1alpha1.ActionNotice
	told := taken(t, notice, 1)
	missing.add(&told, refusedTooLarge)
	g.Expect(missing.count).To(BeZero())
	began := time.Now().UTC().Truncate(time.Microsecond)
	for n := range maxGapNames + 2 {
		event := taken(t, newEvent(trail, eventName(n), began.Add(time.Duration(n)*time.Second)), uint64(n+2))
		missing.add(&event, refusedTooLarge)
	}
	is := missing.of(trail)
	g.Expect(is.At).To(BeTemporally("==", began))
	g.Expect(is.Subject).To(Equal("refused/event-00000"))
	g.Expect(is.Notice.Message).To(HavePrefix("The destination refused the records of 10 events for good (TooLarge): event-00000, "))
	g.Expect(is.Notice.Message).To(HaveSuffix("event-00007 and 2 more"))
	g.Expect(is.Notice.End.Time).To(BeTemporally("==", began.Add(9*time.Second)))
}
