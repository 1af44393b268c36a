package delivery

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/pause"
)

// offer gives a courier what the feed has.
func (b *bench) offer(t *testing.T, c *courier, version uint64, event *v1alpha1.AuditEvent) {
	t.Helper()
	e := taken(t, event, version)
	e.Seen = event.Spec.Time.Time // It was stored at once.
	c.box.offer(&e)
}

// links checks the chain of what the sink accepted.
func (b *bench) links(t *testing.T) []ledger.Link {
	t.Helper()
	g := NewWithT(t)
	var links []ledger.Link
	for _, message := range b.sink.messages() {
		link, err := ledger.ReadLink([]byte(message))
		g.Expect(err).NotTo(HaveOccurred())
		links = append(links, link)
	}
	distinct, repeated, err := ledger.Check(ledger.Genesis(string(b.trail.UID)), links)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(repeated).To(BeZero())
	return distinct
}

// numbered are the names of the first events.
func numbered(to int) []string {
	var names []string
	for n := range to {
		names = append(names, eventName(n))
	}
	return names
}

// TestCourierLingers: events that come within a second share a call, two seconds after the first may be judged.
func TestCourierLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		c := b.courier(t)
		stop := b.start(t, c)
		began := time.Now()
		for n := range 4 {
			b.offer(t, c, uint64(n+1), newEvent(b.trail, eventName(n), time.Now()))
			pause.For(t.Context(), 300*time.Millisecond)
		}
		pause.For(t.Context(), 10*time.Second)
		stop()
		g.Expect(linkNames(t, b.links(t))).To(Equal(numbered(4)))
		g.Expect(b.sink.times).To(HaveLen(1))
		g.Expect(b.sink.times[0].Sub(began)).To(Equal(b.Settle + b.Linger))
	})
}

// TestCourierDoesNotLingerWithEnough: what fills a call goes as soon as it may be judged.
func TestCourierDoesNotLingerWithEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		c := b.courier(t)
		old := time.Now().Add(-b.Settle)
		for n := range window {
			b.offer(t, c, uint64(n+1), newEvent(b.trail, eventName(n), old))
		}
		began := time.Now()
		stop := b.start(t, c)
		synctest.Wait()
		b.sink.mu.Lock()
		batches, times := slices.Clone(b.sink.batches), slices.Clone(b.sink.times)
		b.sink.mu.Unlock()
		g.Expect(batches).NotTo(BeEmpty())
		for i, batch := range batches {
			g.Expect(times[i]).To(Equal(began))
			g.Expect(fillOf(batch)).To(BeNumerically(">", 0.95))
		}
		pause.For(t.Context(), time.Minute)
		stop()
		g.Expect(linkNames(t, b.links(t))).To(Equal(numbered(window)), "the rest goes after it lingered")
	})
}

// TestCourierReadsWhatTheFeedHasNot: from the API server and then from the feed, nothing missing and nothing twice.
func TestCourierReadsWhatTheFeedHasNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		c := b.courier(t)
		c.box.lose()
		past := time.Now().Add(-time.Minute)
		for n := range 30 {
			b.api.store(newEvent(b.trail, eventName(n), past), uint64(n+1))
		}
		b.api.onList = func(string) { // The feed is ahead of the list here, and behind it there.
			b.api.onList = nil
			for n := 25; n < 33; n++ {
				event := newEvent(b.trail, eventName(n), past)
				b.api.store(event, uint64(n+1))
				b.offer(t, c, uint64(n+1), event)
			}
		}
		stop := b.start(t, c)
		pause.For(t.Context(), time.Minute)
		stop()
		g.Expect(linkNames(t, b.links(t))).To(Equal(numbered(33)))
		g.Expect(b.trails.status(t).Delivery).To(And(
			HaveField("ResourceVersion", "33"), HaveField("Sequence", BeEquivalentTo(33)), HaveField("Pending", BeEquivalentTo(0))))
	})
}

// TestCourierReadsAgainWhatItCouldNot: what the feed has meanwhile follows what is missing, and waits for it.
func TestCourierReadsAgainWhatItCouldNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		c := b.courier(t)
		c.box.lose()
		past := time.Now().Add(-time.Minute)
		for n := range 30 {
			b.api.store(newEvent(b.trail, eventName(n), past), uint64(n+1))
		}
		b.api.failLists = 1
		b.api.onList = func(string) {
			b.api.onList = nil
			event := newEvent(b.trail, eventName(30), past)
			b.api.store(event, 31)
			b.offer(t, c, 31, event)
		}
		stop := b.start(t, c)
		pause.For(t.Context(), time.Minute)
		stop()
		g.Expect(linkNames(t, b.links(t))).To(Equal(numbered(31)))
	})
}

// TestCourierWaitsForTheFeed: a list that the feed does not follow up would have to be read again.
func TestCourierWaitsForTheFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		b.feed.reset()
		c := b.courier(t)
		c.box.lose()
		b.feed.subscribe(b.trail.UID, c.box, 0, true)
		b.api.store(newEvent(b.trail, eventName(0), time.Now().Add(-time.Minute)), 10)
		stop := b.start(t, c)
		pause.For(t.Context(), 12*time.Second)
		pages, _ := b.api.reads()
		g.Expect(pages).To(BeZero())
		b.feed.begin(10)
		pause.For(t.Context(), b.Settle+b.Linger)
		synctest.Wait()
		g.Expect(linkNames(t, b.links(t))).To(Equal(numbered(1)), "it goes on as soon as the feed begins")
		stop()
	})
}

// TestCourierStartsOverAfterARestore: the cursor is ahead of all there is.
func TestCourierStartsOverAfterARestore(t *testing.T) {
	for name, restored := range map[string]int{"with events": 1, "before the first event": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				trail := newTrail("shop", "security")
				trail.Status.Delivery = &v1alpha1.DeliveryStatus{ResourceVersion: "5000"}
				b := newBench(t, trail)
				b.api.restore(9)
				c := b.courier(t)
				c.box.lose()
				past := time.Now().Add(-time.Minute)
				for n := range restored {
					b.api.store(newEvent(trail, eventName(n), past), uint64(n+10))
				}
				stop := b.start(t, c)
				pause.For(t.Context(), time.Second)
				b.offer(t, c, 11, newEvent(trail, eventName(restored), past))
				pause.For(t.Context(), time.Minute)
				stop()
				g.Expect(linkNames(t, b.links(t))).To(Equal(numbered(restored + 1)))
				g.Expect(b.trails.status(t).Delivery.ResourceVersion).To(Equal("11"))
			})
		})
	}
}

// TestCourierWritesItsCursorSeldom: at most once in CommitEvery, and at the stop.
func TestCourierWritesItsCursorSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		c := b.courier(t)
		stop := b.start(t, c)
		const seconds = 60
		for n := range seconds {
			b.offer(t, c, uint64(n+1), newEvent(b.trail, eventName(n), time.Now().Add(-time.Minute)))
			pause.For(t.Context(), time.Second)
		}
		g.Expect(len(b.trails.writes())).To(And(BeNumerically(">=", 10), BeNumerically("<=", seconds/5+2)))
		stop()
		writes := b.trails.writes()
		g.Expect(writes[len(writes)-1]).To(BeEquivalentTo(seconds))
	})
}

// TestASuspensionHoldsInTheMiddle: a trail that is suspended while much is to be pushed, or while the destination is
// away, pushes nothing more until it is resumed.
func TestASuspensionHoldsInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		c := b.courier(t)
		c.box.lose()
		const count = window + 100
		for n := range count {
			b.api.store(newEvent(b.trail, eventName(n), time.Now().Add(-time.Minute)), uint64(n+1))
		}
		b.api.pageSize = 500
		b.sink.errs = []error{refused(v1alpha1.ReasonUnreachable)}
		stop := b.start(t, c)
		pause.For(t.Context(), b.Settle+50*time.Millisecond) // The first try.
		synctest.Wait()
		suspended := b.trail.DeepCopy()
		suspended.Spec.Suspend = new(true)
		c.trail.Store(suspended)
		pause.For(t.Context(), time.Minute)
		g.Expect(b.sink.asked()).To(Equal([]string{"put"}))

		c.trail.Store(b.trail)
		pause.For(t.Context(), time.Minute)
		stop()
		g.Expect(linkNames(t, b.links(t))).To(Equal(numbered(count)))
	})
}

// TestABacklogFillsItsBatches: parts of it are read one after the other, and batches go over their ends. What some records say of doubts
// is not reckoned for all.
func TestABacklogFillsItsBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		c := b.courier(t)
		c.box.lose()
		const count = 3*window + 100
		for n := range count {
			event := newEvent(b.trail, eventName(n), time.Now().Add(-time.Minute))
			if n%10 == 0 {
				event.Spec.Action = v1alpha1.ActionUpdate
				event.Status = v1alpha1.AuditEventStatus{Outcome: v1alpha1.OutcomeUnknown, Message: strings.Repeat("who knows? ", 20)}
			}
			b.api.store(event, uint64(n+1))
		}
		b.api.pageSize = 500
		stop := b.start(t, c)
		pause.For(t.Context(), time.Minute)
		stop()
		g.Expect(linkNames(t, b.links(t))).To(Equal(numbered(count)))
		last := len(b.sink.batches) - 1
		for _, batch := range b.sink.batches[:last] {
			g.Expect(fillOf(batch)).To(BeNumerically(">", 0.98))
		}
	})
}

// fillOf is how much of what a call may have a batch has.
func fillOf(batch []cloudwatch.Record) float64 {
	bytes := 0
	for i := range batch {
		bytes += batch[i].Size()
	}
	return float64(bytes) / cloudwatch.MaxBatchBytes
}
