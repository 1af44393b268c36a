package presence

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
)

// TestOneThatStartsLearnsOfStalls from those that watched, and of theirs that stopped before it came.
func TestOneThatStartsLearnsOfStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		c := newCluster(t)
		a := c.start(0, 0)
		pass(time.Minute)
		first := time.Now()
		c.board.fail(errors.New("no API server"))
		pass(10 * time.Second)
		c.board.fail(nil)
		pass(time.Minute)
		b := c.start(0, 0)
		pass(3 * renewEvery)
		a.kill()
		second := time.Now()
		c.board.fail(errors.New("no API server"))
		pass(10 * time.Second)
		c.board.fail(nil)
		pass(time.Hour)
		late := c.start(0, 0)
		pass(3 * renewEvery)
		for moment, waited := range map[time.Time]bool{
			first.Add(-10 * time.Second): false, first.Add(time.Second): true, first.Add(30 * time.Second): false,
			second.Add(time.Second): true, second.Add(30 * time.Second): false,
		} {
			g.Expect(late.presence.StallsKnown(moment)).To(BeTrue(), "%s", moment.Sub(first))
			g.Expect(late.presence.StalledUntil(moment).After(moment)).To(Equal(waited), "%s", moment.Sub(first))
		}
		g.Expect(late.presence.StalledUntil(first)).To(BeTemporally("~", first.Add(10*time.Second+clocks), retryEvery*6/5))
		g.Expect(late.presence.StallsKnown(c.began.Add(-time.Second))).To(BeFalse(), "nobody watched")
		b.kill()
		late.kill()
	})
}

// TestTheTimeWithoutAnyoneIsNotKnown, nor what was before it.
func TestTheTimeWithoutAnyoneIsNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		c := newCluster(t)
		a := c.start(0, 0)
		pass(time.Minute)
		between := time.Now()
		a.kill()
		pass(time.Minute)
		b := c.start(0, 0)
		pass(time.Minute)
		g.Expect(b.presence.StallsKnown(between.Add(-30 * time.Second))).To(BeFalse())
		g.Expect(b.presence.StallsKnown(between.Add(30 * time.Second))).To(BeFalse())
		g.Expect(b.presence.StallsKnown(between.Add(61 * time.Second))).To(BeTrue())
		b.kill()
	})
}

// TestWhoeverFellSilentKnowsNoMore: what a replica says is true until its last sign of life.
func TestWhoeverFellSilentKnowsNoMore(t *testing.T) {
	began := time.Unix(1000, 0)
	at := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	for name, test := range map[string]struct {
		other stalls
		knows bool
	}{
		"watched still": {stalls{From: at(-50), To: at(2)}, true},
		"by a moment":   {stalls{From: at(-50), To: at(0)}, false},
		"came later":    {stalls{From: at(1), To: at(5)}, false},
		"says nothing":  {stalls{}, false},
	} {
		own := stalls{From: at(0), To: at(2), All: []stall{{at(1), at(2)}}}
		test.other.All = []stall{{at(-20), at(-10)}, {at(1), at(2)}}
		own.learn(&test.other)
		g := NewWithT(t)
		g.Expect(own.From.Equal(at(-50))).To(Equal(test.knows), name)
		g.Expect(own.heldUntil(at(-15)).IsZero()).To(Equal(!test.knows), name)
		want := []stall{{at(1), at(2)}} // Of its own time it knows itself.
		if test.knows {
			want = []stall{{at(-20), at(-10)}, {at(1), at(2)}}
		}
		g.Expect(own.All).To(Equal(want), name)
		own.learn(&test.other)
		g.Expect(own.All).To(Equal(want), "once")
	}
}
