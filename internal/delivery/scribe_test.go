package delivery

import (
	"context"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/ledgerkey"
	"github.com/trailkeeper/trailkeeper/internal/pause"
)

// ledgerBench is a bench whose trail has a ledger.
type ledgerBench struct {
	*bench
	book *fakeSink
	keys *ledgerkey.Keeper
	now  uint64
}

// keyLifetime is longer than most of these tests take.
const keyLifetime = 30 * time.Hour

func newLedgerBench(t *testing.T, change ...func(*v1alpha1.AuditTrail)) *ledgerBench {
	t.Helper()
	trail := newTrail("shop", "security")
	made := true
	trail.Status.StreamCreatedByOperator = &made
	for _, apply := range change {
		apply(trail)
	}
	b := &ledgerBench{bench: newBench(t, trail), book: &fakeSink{}}
	b.keys = ledgerkey.NewKeeper(fake.NewClientBuilder().Build(), ledgerkey.Options{Namespace: operatorNamespace, Lifetime: keyLifetime})
	b.Ledger = &Ledger{
		Open:    func(context.Context, *v1alpha1.AuditTrail) (Sink, error) { return b.book, nil },
		Streams: func(*v1alpha1.AuditTrail) (string, string) { return "cluster-a", "cluster-a.ledger" },
		Signer:  b.keys.Signer,
		Cluster: "c1",
		Every:   time.Hour,
	}
	return b
}

// happen has count events be recorded now.
func (b *ledgerBench) happen(t *testing.T, c *courier, count int) {
	t.Helper()
	for range count {
		b.now++
		b.offer(t, c, b.now, newEvent(b.trail, eventName(int(b.now)), time.Now()))
	}
}

// entries are what is in the ledger, in order.
func (b *ledgerBench) entries(t *testing.T) []ledger.Entry {
	t.Helper()
	var entries []ledger.Entry
	for _, message := range b.book.messages() {
		entry, err := ledger.ReadEntry([]byte(message))
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		entries = append(entries, entry)
	}
	return entries
}

// kinds are those of the entries in the ledger.
func (b *ledgerBench) kinds(t *testing.T) []ledger.Kind {
	t.Helper()
	var kinds []ledger.Kind
	for _, entry := range b.entries(t) {
		kinds = append(kinds, entry.Kind)
	}
	return kinds
}

// verify reads what arrived as an auditor does, who knows the trail's status.
func (b *ledgerBench) verify(t *testing.T) *ledger.Report {
	t.Helper()
	return verified(t, string(b.trail.UID), b.trails.status(t), b.book.messages(), b.sink.messages())
}

func verified(t *testing.T, uid string, status v1alpha1.AuditTrailStatus, entries, records []string) *ledger.Report {
	t.Helper()
	g := NewWithT(t)
	key, err := ledger.ParsePublicKey(status.Ledger.PublicKey)
	g.Expect(err).NotTo(HaveOccurred())
	report, err := ledger.Verify(delivered(entries), delivered(records), ledger.Options{
		TrailUID:  uid,
		Keys:      []ledger.PublicKey{key},
		Tip:       &ledger.Head{Sequence: status.Delivery.Sequence, Hash: status.Delivery.Hash},
		LedgerTip: &ledger.Head{Sequence: status.Ledger.Number, Hash: status.Ledger.Hash},
	})
	g.Expect(err).NotTo(HaveOccurred())
	return report
}

func delivered(messages []string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, message := range messages {
			if !yield([]byte(message), nil) {
				return
			}
		}
	}
}

// TestACheckpointEveryHour: the ledger begins with the trail, and goes on each hour in which the chain moved.
func TestACheckpointEveryHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newLedgerBench(t)
		c := b.courier(t)
		stop := b.start(t, c)
		pause.For(t.Context(), time.Minute)
		g.Expect(b.kinds(t)).To(Equal([]ledger.Kind{ledger.KindGenesis}), "before any event")
		b.happen(t, c, 5)
		pause.For(t.Context(), 50*time.Minute)
		g.Expect(b.kinds(t)).To(HaveLen(1), "not yet an hour")
		pause.For(t.Context(), 20*time.Minute)
		g.Expect(b.kinds(t)).To(Equal([]ledger.Kind{ledger.KindGenesis, ledger.KindCheckpoint}))
		g.Expect(b.entries(t)[1]).To(And(HaveField("Sequence", BeEquivalentTo(5)), HaveField("Delivered", BeEquivalentTo(5)),
			HaveField("Cluster", "c1"), HaveField("Trail.UID", string(b.trail.UID)), HaveField("Destination.LogStream", "cluster-a")))
		pause.For(t.Context(), 24*time.Hour)
		g.Expect(b.kinds(t)).To(HaveLen(2), "nothing happened")
		b.happen(t, c, 3)
		pause.For(t.Context(), time.Minute)
		g.Expect(b.kinds(t)).To(HaveLen(3), "the last one is a day old")
		stop()
		g.Expect(b.kinds(t)).To(HaveLen(3), "a stop has nothing to add")

		status := b.trails.status(t)
		g.Expect(status.Ledger).To(And(HaveField("Number", BeEquivalentTo(3)), HaveField("Sequence", BeEquivalentTo(8)),
			HaveField("Pending", BeEmpty()), HaveField("LogStreamName", "cluster-a.ledger")))
		signer, err := b.keys.Signer(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(status.Ledger.PublicKey).To(Equal(signer.Key.Public().String()))
		report := b.verify(t)
		g.Expect(report.Findings).To(BeEmpty())
		g.Expect(report.Vouched).To(BeEquivalentTo(8))
	})
}

// TestACheckpointAtEveryStop: whoever cuts off records afterwards is found out.
func TestACheckpointAtEveryStop(t *testing.T) {
	for name, end := range map[string]func(b *ledgerBench, c *courier, stop func()){
		"the courier is stopped": func(_ *ledgerBench, _ *courier, stop func()) { stop() },
		"the trail is suspended": func(b *ledgerBench, c *courier, _ func()) {
			trail, suspend := b.trail.DeepCopy(), true
			trail.Spec.Suspend = &suspend
			c.trail.Store(trail)
		},
		"the trail is deleted": func(b *ledgerBench, c *courier, _ func()) {
			trail, now := b.trail.DeepCopy(), metav1.Now()
			trail.DeletionTimestamp = &now
			c.trail.Store(trail)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				b := newLedgerBench(t)
				c := b.courier(t)
				stop := b.start(t, c)
				pause.For(t.Context(), time.Second) // The ledger has begun.
				b.happen(t, c, 5)
				pause.For(t.Context(), 10*time.Minute)
				closed := func() bool {
					trail := b.trail.DeepCopy()
					trail.Status = b.trails.status(t)
					return b.Closed(trail)
				}
				g.Expect(closed()).To(BeFalse())
				end(b, c, stop)
				pause.For(t.Context(), 15*time.Second)
				g.Expect(closed()).To(BeTrue())
				g.Expect(b.verify(t)).To(And(HaveField("Findings", BeEmpty()), HaveField("Vouched", BeEquivalentTo(5))))
				pause.For(t.Context(), time.Hour)
				stop()
				g.Expect(b.kinds(t)).To(HaveLen(2))
			})
		})
	}
}

// TestTheLedgerNeverHoldsUpDelivery: whatever is wrong with its stream, records arrive as before, and the ledger is made up
// for later.
func TestTheLedgerNeverHoldsUpDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newLedgerBench(t)
		open := b.Ledger.Open
		var healthy atomic.Bool
		b.Ledger.Open = func(ctx context.Context, trail *v1alpha1.AuditTrail) (Sink, error) {
			if !healthy.Load() {
				<-ctx.Done() // It hangs until its deadline.
				return nil, ctx.Err()
			}
			return open(ctx, trail)
		}
		c := b.courier(t)
		stop := b.start(t, c)
		for range 20 {
			b.happen(t, c, 1)
			pause.For(t.Context(), 10*time.Second)
			g.Expect(b.sink.messages()).To(HaveLen(int(b.now)), "within seconds")
		}
		g.Expect(b.trails.status(t).Delivery.Sequence).To(BeEquivalentTo(20))
		healthy.Store(true)
		pause.For(t.Context(), 2*time.Hour)
		b.happen(t, c, 1)
		pause.For(t.Context(), time.Minute)
		stop()
		g.Expect(b.verify(t)).To(And(HaveField("Findings", BeEmpty()), HaveField("Vouched", BeEquivalentTo(21))))
	})
}

// TestAStopDoesNotWaitForTheLedger: it has little time, and what is left goes on with whoever is next.
func TestAStopDoesNotWaitForTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newLedgerBench(t)
		c := b.courier(t)
		stop := b.start(t, c)
		pause.For(t.Context(), time.Second) // The ledger has begun.
		b.happen(t, c, 5)
		pause.For(t.Context(), time.Minute)
		b.Ledger.Open = func(ctx context.Context, _ *v1alpha1.AuditTrail) (Sink, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		began := time.Now()
		stop()
		g.Expect(time.Since(began)).To(BeNumerically("<=", closeTimeout))
		status := b.trails.status(t)
		g.Expect(status.Ledger.Pending).NotTo(BeEmpty())
		pending := status.Ledger.Pending

		b.trail.Status = status
		b.Ledger.Open = func(context.Context, *v1alpha1.AuditTrail) (Sink, error) { return b.book, nil }
		next := b.courier(t)
		stop = b.start(t, next)
		pause.For(t.Context(), time.Minute)
		stop()
		g.Expect(b.book.messages()).To(HaveLen(2))
		g.Expect(b.book.messages()[1]).To(Equal(pending))
		g.Expect(b.verify(t).Findings).To(BeEmpty())
	})
}

// TestRefusedRecordsAreAccountedFor: the stream has holes, and the ledger says which and why.
func TestRefusedRecordsAreAccountedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newLedgerBench(t)
		b.sink.poison = "poison"
		c := b.courier(t)
		stop := b.start(t, c)
		pause.For(t.Context(), time.Second) // The ledger has begun.
		for n := 1; n <= 50; n++ {
			event := newEvent(b.trail, eventName(n), time.Now())
			switch n {
			case 7, 8, 30:
				event.Spec.Note = "this is poison"
			case 20:
				event.Spec.Request.FieldManager = string(make([]byte, cloudwatch.MaxEventBytes))
			}
			b.offer(t, c, uint64(n), event)
		}
		pause.For(t.Context(), 5*time.Minute)
		entries := b.entries(t)
		g.Expect(entries[len(entries)-1].Kind).To(Equal(ledger.KindGap))
		var gaps []ledger.Gap
		for _, entry := range entries {
			gaps = append(gaps, entry.Gaps...)
		}
		row := func(first, last int64, reason string) OmegaMatcher {
			return And(HaveField("First", first), HaveField("Last", last), HaveField("Reason", reason))
		}
		g.Expect(gaps).To(ConsistOf(row(7, 8, "RecordRejected"), row(20, 20, "TooLarge"), row(30, 30, "RecordRejected")))
		stop()
		report := b.verify(t)
		g.Expect(report.Findings).To(BeEmpty())
		g.Expect([]int64{report.Records, report.Rejected}).To(Equal([]int64{46, 4}))
		g.Expect(b.trails.status(t).Ledger.Gaps).To(BeEmpty())
	})
}

// TestRefusalsOf: each kind has its own place in a batch.
func TestRefusalsOf(t *testing.T) {
	NewWithT(t).Expect(refusalsOf(cloudwatch.PutResult{TooOld: 2, Expired: 3, TooNew: 1, Accepted: 4}, 10)).To(Equal(
		[]refusal{{0, 2, "TooOld"}, {2, 3, "Expired"}, {9, 1, "TooNew"}}))
	NewWithT(t).Expect(refusalsOf(cloudwatch.PutResult{Accepted: 4}, 4)).To(BeEmpty())
}

// TestAnEntryIsTheSameEachTime: a leader that is killed after it wrote an entry, and before it noted that, leaves one entry
// and not two.
func TestAnEntryIsTheSameEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newLedgerBench(t)
		c := b.courier(t)
		stop := b.start(t, c)
		pause.For(t.Context(), time.Second) // The ledger has begun.
		b.happen(t, c, 5)
		pause.For(t.Context(), 90*time.Minute)
		stop()
		before := b.book.messages()
		g.Expect(before).To(HaveLen(2))

		for i := len(b.trails.applied) - 1; b.trails.trail.Status.Ledger.Pending == ""; i-- {
			b.trails.trail.Status = b.trails.applied[i] // What the killed leader had committed.
		}
		b.trail.Status = b.trails.status(t)
		made := true
		b.trail.Status.StreamCreatedByOperator = &made // The trail controller's, which the fake does not keep.
		next := b.courier(t)
		stop = b.start(t, next)
		b.happen(t, next, 5)
		pause.For(t.Context(), 90*time.Minute)
		stop()
		after := b.book.messages()
		g.Expect(after).To(HaveLen(4))
		g.Expect(after[2]).To(Equal(before[1]))
		g.Expect(b.verify(t)).To(And(HaveField("Findings", BeEmpty()), HaveField("Entries", BeEquivalentTo(3)),
			HaveField("RepeatedEntries", BeEquivalentTo(1)), HaveField("Vouched", BeEquivalentTo(10))))
	})
}

// TestTheKeyChanges: readers are led from one key to the next, also over several that nothing was written with.
func TestTheKeyChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newLedgerBench(t)
		c := b.courier(t)
		stop := b.start(t, c)
		pause.For(t.Context(), time.Second) // The ledger has begun.
		b.happen(t, c, 5)
		pause.For(t.Context(), 2*time.Hour)
		first := b.trails.status(t).Ledger.PublicKey
		for range 3 {
			pause.For(t.Context(), keyLifetime)
			_, err := b.keys.Signer(t.Context()) // Other trails are busy.
			g.Expect(err).NotTo(HaveOccurred())
		}
		b.happen(t, c, 5)
		pause.For(t.Context(), 2*time.Hour)
		stop()
		g.Expect(b.kinds(t)).To(Equal([]ledger.Kind{ledger.KindGenesis, ledger.KindCheckpoint, ledger.KindKey}))
		g.Expect(b.entries(t)[2].Keys).To(HaveLen(3))
		status := b.trails.status(t)
		g.Expect(status.Ledger.PublicKey).NotTo(Equal(first))
		g.Expect(b.verify(t).Findings).To(BeEmpty())
		status.Ledger.PublicKey = first // By somebody who noted it down at the beginning.
		report := verified(t, string(b.trail.UID), status, b.book.messages(), b.sink.messages())
		g.Expect(report.Findings).To(BeEmpty())
	})
}

// TestNoLedgerBeforeItsGroup: the trail controller makes group and stream, and notes who did.
func TestNoLedgerBeforeItsGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newLedgerBench(t, func(trail *v1alpha1.AuditTrail) { trail.Status.StreamCreatedByOperator = nil })
		c := b.courier(t)
		stop := b.start(t, c)
		pause.For(t.Context(), 10*time.Minute)
		g.Expect(b.book.asked()).To(BeEmpty())
		trail, made := b.trail.DeepCopy(), false
		trail.Status.StreamCreatedByOperator = &made
		b.book.absent = true
		c.trail.Store(trail)
		pause.For(t.Context(), time.Minute)
		stop()
		g.Expect(b.book.asked()).To(Equal([]string{"put", "put", "ensure", "put"}))
	})
}

// TestAnEntryIsCommittedFirst: otherwise a leader that is deposed could write another entry of the same number.
func TestAnEntryIsCommittedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newLedgerBench(t)
		c := b.courier(t)
		tend := func(committed *v1alpha1.LedgerStatus) bool {
			defer synctest.Wait()
			return c.scribe.tend(t.Context(), &c.at, committed, true)
		}
		g.Expect(tend(nil)).To(BeTrue(), "it is to be committed at once")
		g.Expect(tend(nil)).To(BeFalse())
		g.Expect(tend(&v1alpha1.LedgerStatus{Pending: "another"})).To(BeFalse())
		g.Expect(b.book.asked()).To(BeEmpty())
		g.Expect(tend(c.scribe.status())).To(BeFalse())
		g.Expect(b.book.asked()).To(Equal([]string{"put"}))
	})
}
