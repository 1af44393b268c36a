package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/pause"
)

// TestALedgersStreamIsClaimedBeforeItIsMade: a leader that is killed right after it made the stream leaves one of which its
// successor knows that the operator made it.
func TestALedgersStreamIsClaimedBeforeItIsMade(t *testing.T) {
	for name, stops := range map[string]bool{"while it works": false, "while it stops": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				b := newLedgerBench(t)
				b.book.absent = !stops
				var killed v1alpha1.AuditTrailStatus
				b.book.onEnsure = func() { killed = b.trails.status(t) }
				c := b.courier(t)
				stop := b.start(t, c)
				pause.For(t.Context(), time.Second)
				if stops { // Somebody has deleted the stream, which was there before the trail.
					b.happen(t, c, 1)
					pause.For(t.Context(), time.Minute)
					b.book.absent = true
				}
				stop()
				g.Expect(killed.Ledger).To(HaveField("StreamCreatedByOperator", HaveValue(BeTrue())))
				g.Expect(b.trails.status(t).Ledger).To(And(
					HaveField("StreamCreatedByOperator", HaveValue(BeTrue())), HaveField("Pending", BeEmpty())))

				b.trails.trail.Status = killed
				b.trail.Status = killed
				b.trail.Status.StreamCreatedByOperator = new(true) // The trail controller's, which the fake does not keep.
				stop = b.start(t, b.courier(t))
				pause.For(t.Context(), time.Minute)
				stop()
				g.Expect(b.trails.status(t).Ledger).To(And(
					HaveField("StreamCreatedByOperator", HaveValue(BeTrue())), HaveField("Pending", BeEmpty())))
			})
		})
	}
}

// TestALedgersStreamThatIsThereIsNotClaimed: it is not deleted with the trail.
func TestALedgersStreamThatIsThereIsNotClaimed(t *testing.T) {
	for name, late := range map[string]bool{"before the first entry": false, "while it is made": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				b := newLedgerBench(t)
				if late { // Somebody else makes it when it was just found to be missing.
					b.book.errs = []error{refused(v1alpha1.ReasonDestinationNotFound), refused(v1alpha1.ReasonDestinationNotFound)}
				}
				stop := b.start(t, b.courier(t))
				pause.For(t.Context(), time.Minute)
				stop()
				g.Expect(b.trails.status(t).Ledger).To(HaveField("StreamCreatedByOperator", HaveValue(BeFalse())))
			})
		})
	}
}
