package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/pause"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

func TestRoughly(t *testing.T) {
	g := NewWithT(t)
	for count, want := range map[int64]int64{0: 0, 7: 7, 99: 99, 100: 100, 199: 190, 12_345: 12_000, 1_728_001: 1_700_000} {
		g.Expect(roughly(count)).To(Equal(want), "%d", count)
	}
}

// TestFullUntilATenthIsDelivered: so that recording does not go on and off with every event.
func TestFullUntilATenthIsDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		b.Limits.Events = 1000
		c := b.courier(t)
		began := time.Now()
		for _, step := range []struct {
			pending int64
			want    bool
		}{{999, false}, {1000, true}, {999, true}, {901, true}, {900, true}, {899, false}, {999, false}} {
			g.Expect(c.isFull(t.Context(), 0, step.pending)).To(Equal(step.want), "%d", step.pending)
		}
		g.Expect(c.refusedSince(began)).To(BeTrue(), "nothing is concluded from what may be missing")
		pause.For(t.Context(), time.Minute)
		g.Expect(c.refusedSince(began)).To(BeTrue())
		g.Expect(c.refusedSince(time.Now())).To(BeFalse())
	})
}

// TestCountsWhatWaits: in memory, in chunks, and beyond.
func TestCountsWhatWaits(t *testing.T) {
	g := NewWithT(t)
	b := newBench(t, newTrail("shop", "security"))
	c := b.courier(t)
	c.box.follow()
	for n := range 5 {
		b.offer(t, c, uint64(n+1), newEvent(b.trail, eventName(n), time.Now()))
	}
	g.Expect(c.singles()).To(Equal(5))
	c.box.lose()
	b.offer(t, c, 6, newEvent(b.trail, eventName(5), time.Now()))
	g.Expect(c.singles()).To(Equal(6), "what the inbox does not have waits as well")
	c.box.cover(4)
	c.reserve.rest = 4
	g.Expect(c.singles()).To(Equal(6), "what was read is not counted twice")
	c.box.cover(6)
	c.reserve.rest = 6
	g.Expect(c.singles()).To(Equal(6))

	c.reserve.chunks = []packedEvents{{count: 10}, {count: 20}}
	g.Expect(c.packed()).To(BeEquivalentTo(30))
	c.reserve.unpacking, c.reserve.read, c.queue = true, 7, make([]recorded.Event, 3)
	g.Expect(c.packed()).To(BeEquivalentTo(26), "four of the first chunk are delivered")
	g.Expect(c.singles()).To(Equal(6), "those in the queue are packed ones")
	c.box.forget()
	g.Expect(c.singles()).To(Equal(6))
	g.Expect(c.box.isBehind()).To(BeTrue())
}

// TestPacksOnlyForADestinationThatFails for a while, and not for one that is slow.
func TestPacksOnlyForADestinationThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		c := b.courier(t)
		c.reserve.rest = DefaultSingle + 1
		g.Expect(c.overflows()).To(BeFalse())
		c.report(State{Reason: "Unreachable"})
		g.Expect(c.overflows()).To(BeFalse())
		pause.For(t.Context(), defaultAfter)
		c.report(State{Reason: "Unreachable"})
		g.Expect(c.overflows()).To(BeTrue())
		c.reserve.rest = DefaultSingle
		g.Expect(c.overflows()).To(BeFalse())
		c.reserve.rest++
		c.report(State{})
		g.Expect(c.overflows()).To(BeFalse())
	})
}
