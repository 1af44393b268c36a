package delivery

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
)

// slowSink takes its time.
type slowSink struct {
	*fakeSink
	takes time.Duration
}

func (s slowSink) Put(ctx context.Context, records []cloudwatch.Record) (cloudwatch.PutResult, error) {
	<-time.After(s.takes)
	return s.fakeSink.Put(ctx, records)
}

// TestAStopSendsWhatIsPacked: a courier that is told to stop in the middle of a call pushes the batches that were packed with
// it and commits them. What was recorded too late to be judged stays past the cursor, for whoever delivers next.
func TestAStopSendsWhatIsPacked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		b.Open = func(context.Context, *v1alpha1.AuditTrail) (Sink, error) {
			return slowSink{b.sink, 2 * time.Second}, nil
		}
		c := b.courier(t)
		// Of 200 kB, so that five make a batch: two are full, and what would begin a third lingers.
		const recorded, packed, perBatch = 12, 10, 5
		large := func(n int) *v1alpha1.AuditEvent {
			event := newEvent(b.trail, eventName(n), time.Now())
			event.Spec.Note = strings.Repeat("x", 200<<10)
			return event
		}
		for n := range recorded {
			b.offer(t, c, uint64(n+1), large(n))
		}
		stop := b.start(t, c)
		<-time.After(3 * time.Second) // Two to settle, and into the first call.
		b.offer(t, c, recorded+1, large(recorded))
		g.Expect(b.sink.messages()).To(BeEmpty(), "the first call must be under way")
		stop()

		g.Expect(linkNames(t, b.links(t))).To(Equal(numbered(packed)))
		g.Expect(b.sink.batches).To(HaveLen(packed / perBatch))
		status := b.trails.status(t).Delivery
		g.Expect(status.Sequence).To(BeEquivalentTo(packed))
		g.Expect(status.ResourceVersion).To(Equal(apijson.FormatVersion(packed)), "what is not sent stays past the cursor")
	})
}

// TestAStopLeavesWhatIsNotTaken: a destination that takes nothing holds nobody up, and what it took before is committed.
func TestAStopLeavesWhatIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		c := b.courier(t)
		b.offer(t, c, 1, newEvent(b.trail, eventName(0), time.Now()))
		stop := b.start(t, c)
		<-time.After(4 * time.Second)
		b.sink.mu.Lock()
		for range 100 {
			b.sink.errs = append(b.sink.errs, refused(v1alpha1.ReasonUnreachable))
		}
		b.sink.mu.Unlock()
		b.offer(t, c, 2, newEvent(b.trail, eventName(1), time.Now()))
		<-time.After(10 * time.Second)
		began := time.Now()
		stop()
		g.Expect(time.Since(began)).To(BeNumerically("<=", stopTimeout))
		g.Expect(linkNames(t, b.links(t))).To(Equal(numbered(1)))
		g.Expect(b.trails.status(t).Delivery.ResourceVersion).To(Equal("1"))
	})
}

// TestAStopWaitsForNoHangingCall: a shard is handed over within a bounded time, and what arrived before is committed.
func TestAStopWaitsForNoHangingCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		hangs := hangingSink{b.sink, make(chan struct{})}
		b.Open = func(context.Context, *v1alpha1.AuditTrail) (Sink, error) { return hangs, nil }
		c := b.courier(t)
		for n := range 12 {
			event := newEvent(b.trail, eventName(n), time.Now())
			event.Spec.Note = strings.Repeat("x", 200<<10)
			b.offer(t, c, uint64(n+1), event)
		}
		stop := b.start(t, c)
		<-time.After(4 * time.Second)
		began := time.Now()
		stop()
		g.Expect(time.Since(began)).To(Equal(finish))
		g.Expect(linkNames(t, b.links(t))).To(Equal(numbered(5)))
		g.Expect(b.trails.status(t).Delivery.ResourceVersion).To(Equal("5"))
		g.Expect(b.trails.status(t).Conditions).To(ConsistOf(HaveField("Status", metav1.ConditionTrue)), "nothing is wrong with it")
	})
}

// hangingSink takes one batch, and then answers only when the caller gives up.
type hangingSink struct {
	*fakeSink
	took chan struct{}
}

func (s hangingSink) Put(ctx context.Context, records []cloudwatch.Record) (cloudwatch.PutResult, error) {
	select {
	case <-s.took:
		<-ctx.Done()
		return cloudwatch.PutResult{}, refused(v1alpha1.ReasonUnreachable)
	default:
		close(s.took)
		return s.fakeSink.Put(ctx, records)
	}
}
