package presence

import (
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
		c.board.fail(errAway)
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
