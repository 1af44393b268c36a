package presence

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
)

// TestPeersAreThoseWhoLive: killed ones are counted for some seconds, stopped ones not, and those of another division never.
func TestPeersAreThoseWhoLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		c := newCluster(t)
		a, b := c.start(time.Second, 0), c.start(time.Minute, 0)
		g.Expect(a.presence.Peers()).To(BeZero(), "nothing is known before the first sign of life")
		pass(30 * time.Second)
		g.Expect(a.presence.Peers()).To(Equal(1), "one that is not ready shares nothing")
		g.Expect(b.presence.Peers()).To(BeZero())
		pass(time.Minute)
		g.Expect(a.presence.Peers()).To(Equal(2))
		g.Expect(b.presence.Peers()).To(Equal(2))

		c.shards = 7
		other := c.start(0, 0)
		c.shards = 0
		pass(10 * time.Second)
		g.Expect(a.presence.Peers()).To(Equal(2))
		g.Expect(other.presence.Peers()).To(Equal(1))
		other.kill()

		b.kill()
		pass(aliveFor / 2)
		g.Expect(a.presence.Peers()).To(Equal(2))
		pass(aliveFor)
		g.Expect(a.presence.Peers()).To(Equal(1))

		d := c.start(0, 0)
		pass(10 * time.Second)
		g.Expect(a.presence.Peers()).To(Equal(2))
		d.stop(t)
		pass(renewEvery)
		g.Expect(a.presence.Peers()).To(Equal(1))
		a.kill()
	})
}

// TestASlowSignOfLife: the API server stored nothing while it waited.
func TestASlowSignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		c := newCluster(t)
		a := c.start(0, 0)
		pass(time.Minute)
		lasted, _ := a.presence.Silence()
		g.Expect(lasted).To(BeZero())
		c.board.delay(slowSign / 2)
		pass(time.Minute)
		lasted, _ = a.presence.Silence()
		g.Expect(lasted).To(BeZero())
		c.board.delay(3 * time.Second)
		pass(renewEvery + 3*time.Second)
		lasted, ago := a.presence.Silence()
		g.Expect(lasted).To(Equal(3 * time.Second))
		g.Expect(ago).To(BeNumerically("<=", renewEvery))
		c.board.delay(0)
		a.kill()
	})
}

// TestASilenceIsRemembered when others have followed, with a little before and after it.
func TestASilenceIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		c := newCluster(t)
		a := c.start(0, 0)
		pass(time.Minute)
		before := time.Now()
		c.board.fail(errors.New("no API server"))
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
			c.board.delay(3 * time.Second)
			pass(renewEvery + 3*time.Second)
			c.board.delay(0)
			pass(renewEvery)
		}
		g.Expect(a.presence.StalledUntil(before.Add(15*time.Second))).To(And(
			BeTemporally(">=", before.Add(30*time.Second)), BeTemporally("<=", before.Add(30*time.Second+retryEvery*6/5+clocks))), "others have followed")
		pass(time.Minute)
		c.board.delay(3 * time.Second)
		pass(renewEvery + 3*time.Second)
		g.Expect(a.presence.StalledUntil(before.Add(15*time.Second))).To(BeZero(), "there are too many")
		g.Expect(a.presence.StallsKnown(before.Add(15*time.Second))).To(BeFalse(), "and it knows that it forgot")
		g.Expect(a.presence.StallsKnown(before.Add(time.Minute))).To(BeTrue())
		c.board.delay(0)
		a.kill()
	})
}

// TestASilenceBeginsWhenTheLastWasStored: an event, if not a sign of life.
func TestASilenceBeginsWhenTheLastWasStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		c := newCluster(t)
		a := c.start(0, 0)
		pass(time.Minute + renewEvery/2)
		last := time.Now()
		c.store(last)
		c.board.fail(errors.New("no API server"))
		pass(renewEvery)
		c.store(time.Now()) // That one tells when it ended.
		pass(10 * time.Second)
		g.Expect(a.presence.StalledUntil(last.Add(-underWay))).To(BeZero())
		g.Expect(a.presence.StalledUntil(last.Add(-underWay + time.Millisecond))).NotTo(BeZero())
		a.kill()
	})
}

// TestASilenceEndsWhenTheAPIServerStores: an event, if not a sign of life.
func TestASilenceEndsWhenTheAPIServerStores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		c := newCluster(t)
		a := c.start(0, 0)
		pass(time.Minute)
		began := time.Now()
		c.board.fail(errors.New("no API server"))
		pass(10*time.Second + 37*time.Millisecond)
		for range 20 {
			c.board.fail(nil)
			stored := time.Now()
			c.store(stored)
			pass(renewEvery)
			g.Expect(a.presence.StalledUntil(began)).To(BeTemporally("<=", stored.Add(2*readyPoll+clocks)))
			pass(10 * time.Second)
			began = time.Now()
			c.board.fail(errors.New("no API server"))
			pass(10*time.Second + 37*time.Millisecond)
		}
		a.kill()
	})
}

// TestSilencesInSuccession: what waited in one may wait in the next.
func TestSilencesInSuccession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		c := newCluster(t)
		a := c.start(0, 0)
		pass(time.Minute)
		before := time.Now()
		for range 2 {
			c.board.fail(errors.New("no API server"))
			pass(10 * time.Second)
			c.board.fail(nil)
			pass(renewEvery)
		}
		g.Expect(a.presence.StalledUntil(before)).To(BeTemporally(">=", before.Add(20*time.Second+renewEvery)))
		pass(time.Minute)
		g.Expect(a.presence.StalledUntil(before.Add(time.Minute))).To(BeZero())
		a.kill()
	})
}

// TestAnOutageKeepsThePeers: when nobody could give signs of life, nobody was silent.
func TestAnOutageKeepsThePeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		c := newCluster(t)
		a, b := c.start(0, 0), c.start(time.Second, 0)
		pass(time.Minute + 500*time.Millisecond) // The last sign of life is that of a, and the next will be.
		g.Expect(a.presence.Peers()).To(Equal(2))
		lasted, _ := a.presence.Silence()
		g.Expect(lasted).To(BeZero())
		c.board.fail(errors.New("no API server"))
		pass(time.Minute + time.Second)
		g.Expect(a.presence.Peers()).To(Equal(2))
		lasted, ago := a.presence.Silence()
		g.Expect(lasted).To(BeNumerically("~", time.Minute, 3*time.Second))
		g.Expect(ago).To(BeZero())
		c.board.fail(nil)
		pass(renewEvery + 10*time.Second)
		lasted, ago = a.presence.Silence()
		g.Expect(lasted).To(BeNumerically("~", time.Minute, 3*time.Second))
		g.Expect(ago).To(BeNumerically("~", 10*time.Second, renewEvery))
		for range 100 {
			pass(renewEvery / 10)
			g.Expect(a.presence.Peers()).To(Equal(2))
			g.Expect(b.presence.Peers()).To(Equal(2))
		}
		a.kill()
		b.kill()
	})
}
