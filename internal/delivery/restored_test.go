package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
)

// recordAndDeliver stores events and waits until they are committed.
func (b *bench) recordAndDeliver(t *testing.T, from, to int) *v1alpha1.DeliveryStatus {
	t.Helper()
	for n := from; n < to; n++ {
		b.api.store(newEvent(b.trail, eventName(n), time.Now().Add(-time.Minute)), uint64(n+10))
	}
	<-time.After(10 * time.Second)
	status := b.trails.status(t).Delivery
	NewWithT(t).Expect(status.Sequence).To(BeEquivalentTo(to))
	return status
}

// putBack has the API server hold an older cursor.
func (b *bench) putBack(backup *v1alpha1.DeliveryStatus) {
	b.trails.mu.Lock()
	defer b.trails.mu.Unlock()
	b.trails.trail.Status.Delivery = backup
	touch(b.trails.trail)
}

// TestARestoredCursorForksNoChain: etcd is restored together with the trail's cursor. What the cluster still has is delivered
// again under new numbers, and no number is given twice. It is noticed whether the API server's history is behind the
// cursor when it comes back, or has passed it.
func TestARestoredCursorForksNoChain(t *testing.T) {
	for name, test := range map[string]struct {
		passed uint64
		again  []int
	}{
		"history behind the cursor": {0, []int{0, 1, 2, 6}},
		"history past the cursor":   {100, []int{6, 0, 1, 2, 6}}, // The next commit tells.
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				b := newBench(t, newTrail("shop", "security"))
				past := time.Now().Add(-time.Minute)
				leave := b.holdUntil(t, 0)
				synctest.Wait()
				g.Expect(b.serves(t)).To(BeTrue())
				backup := b.recordAndDeliver(t, 0, 3)
				b.recordAndDeliver(t, 3, 6)
				for n := 3; n < 6; n++ {
					b.api.remove("shop", eventName(n))
				}
				b.putBack(backup)
				b.api.restore(12 + test.passed)
				b.api.endWatch()
				<-time.After(time.Second)
				b.api.store(newEvent(b.trail, eventName(6), past), 13+test.passed)
				for range 8 { // As the controller does, every 15 s.
					<-time.After(15 * time.Second)
					g.Expect(b.serves(t)).To(BeTrue())
				}
				leave()

				var want []string
				for _, n := range append([]int{0, 1, 2, 3, 4, 5}, test.again...) {
					want = append(want, eventName(n))
				}
				g.Expect(linkNames(t, b.links(t))).To(Equal(want))
				status := b.trails.status(t).Delivery
				g.Expect(status.Sequence).To(BeEquivalentTo(len(want)))
				g.Expect(status.ResourceVersion).To(Equal(apijson.FormatVersion(13 + test.passed)))
			})
		})
	}
}
