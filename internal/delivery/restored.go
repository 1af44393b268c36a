package delivery

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// maxMilestones bounds what is remembered, far above the trails that there are: those that are gone are in it too.
const maxMilestones = 10_000

// milestone is where the last courier of a trail on this replica ended. Only with it can be noticed that etcd was restored from
// a backup together with the cursor: a chain that went on from a restored cursor would give its numbers a second time.
type milestone struct {
	// committed is the sequence that the API server is known to have stored.
	committed int64
	at        cursor
	// ledger is how far the trail's ledger was written; nil for a trail without one.
	ledger *v1alpha1.LedgerStatus
	// anew says that the cursor is one of a restored history, of which nothing is committed yet.
	anew bool
}

// remember keeps where a courier has ended.
func (d *Delivery) remember(c *courier) {
	if c.committed.delivery == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for uid := range d.milestones {
		if len(d.milestones) < maxMilestones {
			break
		}
		delete(d.milestones, uid)
	}
	d.milestones[c.uid] = milestone{
		committed: c.committed.delivery.Sequence, at: c.at, ledger: c.scribe.status(), anew: c.anew,
	}
}

// recallLocked lets a courier that begins go on with its trail's chain when the stored cursor is behind one that was stored before:
// cursors go forward only, so the API server's history is an older one. Every event that it has is delivered again, since
// what was pushed and what was not cannot be told apart.
func (d *Delivery) recallLocked(ctx context.Context, c *courier) {
	known, ok := d.milestones[c.uid]
	if !ok || c.at.head.Sequence >= known.committed {
		return
	}
	log.FromContext(ctx).Info("Going on with the chain of before, because the cursor went back: etcd was restored",
		"trail", c.key.String(), "stored", c.at.head.Sequence, "committed", known.committed)
	version := uint64(0)
	if known.anew {
		version = known.at.version
	}
	c.at, c.anew = known.at, true
	c.at.version = version
	if c.scribe != nil && known.ledger != nil {
		c.scribe.book = *known.ledger // Its entries are numbered too.
	}
}
