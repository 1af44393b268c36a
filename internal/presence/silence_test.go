package presence

import (
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
)

// withOneReplica runs a test in which one replica has recorded for a minute.
func withOneReplica(t *testing.T, test func(g Gomega, c *cluster, a *replica)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a := c.start(0, 0)
		pass(time.Minute)
		test(NewWithT(t), c, a)
		a.kill()
	})
}

// TestASlowSignOfLife: the API server stored nothing while it waited.
func TestASlowSignOfLife(t *testing.T) {
	withOneReplica(t, func(g Gomega, c *cluster, a *replica) {
		lasted, _ := a.presence.Silence()
		g.Expect(lasted).To(BeZero())
		c.board.delay(slowSign / 2)
		pass(time.Minute)
		lasted, _ = a.presence.Silence()
		g.Expect(lasted).To(BeZero())
		c.signSlowly(3 * time.Second)
		lasted, ago := a.presence.Silence()
		g.Expect(lasted).To(Equal(3 * time.Second))
		g.Expect(ago).To(BeNumerically("<=", renewEvery))
	})
}

// TestASilenceIsRemembered when others have followed, with a little before and after it.
func TestASilenceIsRemembered(t *testing.T) {
	withOneReplica(t, func(g Gomega, c *cluster, a *replica) {
		before := time.Now()
		c.board.fail(errAway)
		pass(30 * time.Second)
		g.Expect(a.presence.StalledUntil(before.Add(-renewEvery - underWay))).To(BeZero())
		g.Expect(a.presence.StallsKnown(before)).To(BeTrue())
		g.Expect(a.presence.StallsKnown(before.Add(-time.Hour))).To(BeFalse(), "it was not there")
		g.Expect(a.presence.StalledUntil(before)).To(Equal(time.Now().Add(clocks)))
		g.Expect(a.presence.StalledUntil(time.Now())).To(Equal(time.Now().Add(clocks)), "it lasts")
		c.board.fail(nil)
		pass(renewEvery)
		for range maxStalls - 1 {
			pass(time.Minute)
			between := time.Now().Add(-20 * time.Second)
			g.Expect(a.presence.StalledUntil(between)).To(BeZero())
			c.signSlowly(3 * time.Second)
			pass(renewEvery)
		}
		g.Expect(a.presence.StalledUntil(before.Add(15*time.Second))).To(And(
			BeTemporally(">=", before.Add(30*time.Second)), BeTemporally("<=", before.Add(30*time.Second+retryEvery*6/5+clocks))), "others have followed")
		pass(time.Minute)
		c.signSlowly(3 * time.Second)
		g.Expect(a.presence.StalledUntil(before.Add(15*time.Second))).To(BeZero(), "there are too many")
		g.Expect(a.presence.StallsKnown(before.Add(15*time.Second))).To(BeFalse(), "and it knows that it forgot")
		g.Expect(a.presence.StallsKnown(before.Add(time.Minute))).To(BeTrue())
	})
}

// TestASilenceBeginsWhenTheLastWasStored: an event, if not a sign of life.
func TestASilenceBeginsWhenTheLastWasStored(t *testing.T) {
	withOneReplica(t, func(g Gomega, c *cluster, a *replica) {
		pass(renewEvery / 2)
		last := time.Now()
		c.store(last)
		c.board.fail(errAway)
		pass(renewEvery)
		c.store(time.Now()) // That one tells when it ended.
		pass(10 * time.Second)
		g.Expect(a.presence.StalledUntil(last.Add(-underWay))).To(BeZero())
		g.Expect(a.presence.StalledUntil(last.Add(-underWay + time.Millisecond))).NotTo(BeZero())
	})
}

// TestASilenceEndsWhenTheAPIServerStores: an event, if not a sign of life.
func TestASilenceEndsWhenTheAPIServerStores(t *testing.T) {
	withOneReplica(t, func(g Gomega, c *cluster, a *replica) {
		began := time.Now()
		c.board.fail(errAway)
		pass(10*time.Second + 37*time.Millisecond)
		for range 20 {
			c.board.fail(nil)
			stored := time.Now()
			c.store(stored)
			pass(renewEvery)
			g.Expect(a.presence.StalledUntil(began)).To(BeTemporally("<=", stored.Add(2*readyPoll+clocks)))
			pass(10 * time.Second)
			began = time.Now()
			c.board.fail(errAway)
			pass(10*time.Second + 37*time.Millisecond)
		}
	})
}

// TestSilencesInSuccession: what waited in one may wait in the next.
func TestSilencesInSuccession(t *testing.T) {
	withOneReplica(t, func(g Gomega, c *cluster, a *replica) {
		before := time.Now()
		for range 2 {
			c.awayFor(10 * time.Second)
			pass(renewEvery)
		}
		g.Expect(a.presence.StalledUntil(before)).To(BeTemporally(">=", before.Add(20*time.Second+renewEvery)))
		pass(time.Minute)
		g.Expect(a.presence.StalledUntil(before.Add(time.Minute))).To(BeZero())
	})
}

// TestOneThatStartsLearnsOfStalls from those that watched, and of theirs that stopped before it came.
func TestOneThatStartsLearnsOfStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		c := newCluster(t)
		a := c.start(0, 0)
		pass(time.Minute)
		first := time.Now()
		c.awayFor(10 * time.Second)
		pass(time.Minute)
		b := c.start(0, 0)
		pass(3 * renewEvery)
		a.kill()
		second := time.Now()
		c.awayFor(10 * time.Second)
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
