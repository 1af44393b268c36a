package delivery

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// commitIfDue writes the cursor, not more often than every CommitEvery.
func (c *courier) commitIfDue(ctx context.Context) error {
	c.measure()
	urgent := c.scribe.tend(ctx, &c.at, c.committed.ledger, c.rests())
	if !urgent && c.clock().Now().Before(c.commitAt) {
		return nil
	}
	return c.commit(ctx)
}

func (c *courier) commit(ctx context.Context) error {
	next := progress{c.status(ctx), c.scribe.status()}
	if c.unsure == nil && c.committed.tellsAsMuchAs(next) && c.state == c.shown {
		return nil
	}
	if c.unsure != nil {
		// Writing the very same again ends the doubt, whether the answer got lost or the request.
		next = *c.unsure
	}
	c.unsure = &next
	if err := c.delivery.cursors.commit(ctx, c.trail.Load(), c.committed, next, c.told(next.delivery)); err != nil {
		return err
	}
	c.committed, c.unsure, c.shown, c.anew = next, nil, c.state, false
	c.delivery.Metrics.CursorWritten(c.key.Namespace, c.key.Name, c.clock().Now())
	c.commitAt = c.clock().Now().Add(c.delivery.CommitEvery)
	c.dropPassed(ctx)
	return nil
}

// measure shows what waits.
func (c *courier) measure() {
	packed := c.packed()
	switch {
	case len(c.queue) > 0 && !c.reserve.packing:
		c.reserve.oldest = c.queue[0].Head.Time.Time
	case packed == 0 && !c.reserve.packing:
		c.reserve.oldest = time.Time{}
	}
	var lag time.Duration
	if !c.reserve.oldest.IsZero() {
		lag = max(0, c.clock().Since(c.reserve.oldest))
	}
	c.delivery.Metrics.Backlog(c.key.Namespace, c.key.Name, int(packed)+c.singles(), lag)
	c.delivery.Metrics.Packed(c.key.Namespace, c.key.Name, packed, c.reserve.full)
	if c.scribe != nil {
		c.delivery.Metrics.Chained(c.key.Namespace, c.key.Name, c.at.head.Sequence)
	}
}

// stop writes the cursor a last time.
func (c *courier) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	unsure := c.unsure != nil
	err := c.commit(ctx)
	if err == nil && unsure {
		err = c.commit(ctx)
	}
	if err != nil {
		log.FromContext(ctx).Error(err, "Events that were delivered will be delivered again")
		return
	}
	if err := c.closeLedger(ctx); err != nil {
		log.FromContext(ctx).Error(err, "The ledger's last checkpoint was not written")
	}
}

// tellsAsMuchAs says that writing other would tell nothing new: the resourceVersion alone moves all the time.
func (p progress) tellsAsMuchAs(other progress) bool {
	a, b := p.delivery, other.delivery
	return a != nil && a.Sequence == b.Sequence && a.Delivered == b.Delivered && a.Rejected == b.Rejected && a.Pending == b.Pending &&
		a.Packed == b.Packed && a.Backlog == b.Backlog &&
		(a.DrainedTime == nil) == (b.DrainedTime == nil) &&
		equality.Semantic.DeepEqual(p.ledger, other.ledger)
}
