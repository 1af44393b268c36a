package delivery

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// holdUntil holds a shard until stop is called.
func (b *bench) holdUntil(t *testing.T, shard int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.Hold(ctx, shard)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

// serves asks for the trail to be delivered, and says whether it is.
func (b *bench) serves(t *testing.T) bool {
	t.Helper()
	NewWithT(t).Expect(b.Serve(t.Context(), b.trail)).To(Succeed())
	return b.serviceOf(client.ObjectKeyFromObject(b.trail)) != nil
}

// TestOnlyTrailsOfHeldShardsAreServed: before and after a shard is held its trails are another replica's.
func TestOnlyTrailsOfHeldShardsAreServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		b.Shards = 4
		own := b.shardOf(b.trail.UID)
		other := (own + 1) % b.Shards
		g.Expect(b.serves(t)).To(BeFalse())
		leaveOther := b.holdUntil(t, other)
		synctest.Wait()
		g.Expect(b.Changed()).To(Receive())
		g.Expect(b.serves(t)).To(BeFalse())

		leave := b.holdUntil(t, own)
		synctest.Wait()
		g.Expect(b.Changed()).To(Receive())
		g.Expect(b.serves(t)).To(BeTrue())
		b.api.store(newEvent(b.trail, eventName(0), time.Now()), 10)
		<-time.After(3500 * time.Millisecond)
		b.api.store(newEvent(b.trail, eventName(1), time.Now()), 11)
		<-time.After(3500 * time.Millisecond)
		g.Expect(b.sink.messages()).To(HaveLen(2))
		g.Expect(b.trails.writes()).To(HaveEach(BeEquivalentTo(1)), "the test needs something that is not committed yet")

		leave()
		g.Expect(b.Changed()).To(Receive())
		g.Expect(b.trails.writes()).To(ContainElement(BeEquivalentTo(2)), "what was delivered is committed before the shard is left")
		g.Expect(b.serves(t)).To(BeFalse())
		g.Expect(b.api.watches()).To(HaveLen(1), "one watch serves every shard")
		leaveOther()
	})
}

// TestACourierBeginsAtTheStoredCursor: a cache may show the one before, and what is between was delivered by others.
func TestACourierBeginsAtTheStoredCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		leave := b.holdUntil(t, 0)
		synctest.Wait()
		stale := b.trail.DeepCopy()
		b.trails.trail.Status.Delivery = &v1alpha1.DeliveryStatus{ResourceVersion: "20", Sequence: 7, Hash: "abc"}
		g.Expect(b.Serve(t.Context(), stale)).To(Succeed())
		g.Expect(b.serviceOf(client.ObjectKeyFromObject(stale)).at.head.Sequence).To(BeEquivalentTo(7))
		leave()
	})
}

// TestEventsOfOtherReplicasTrailsArePassedOver: they move the position on, and whoever subscribes misses nothing.
func TestEventsOfOtherReplicasTrailsArePassedOver(t *testing.T) {
	g := NewWithT(t)
	b := newBench(t, newTrail("shop", "security"))
	b.feed.partial.Store(true)
	other := newTrail("shop", "other")
	other.UID = types.UID("another")
	box := newInbox(1 << 20)
	b.feed.subscribe(b.trail.UID, box, 1, true)
	b.feed.give(t.Context(), 5, stored(t, newEvent(other, eventName(0), recordedTime), 5))
	g.Expect(b.feed.at()).To(BeEquivalentTo(5))
	g.Expect(box.size()).To(BeZero())
	b.feed.give(t.Context(), 6, stored(t, newEvent(b.trail, eventName(1), recordedTime), 6))
	g.Expect(box.size()).To(Equal(1))
}
