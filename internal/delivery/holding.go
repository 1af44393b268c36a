package delivery

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
	"github.com/trailkeeper/trailkeeper/internal/shards"
)

// holding is the time in which this replica holds a shard.
type holding struct {
	context  context.Context //nolint:containedctx // That of the couriers: it ends with the holding.
	couriers sync.WaitGroup
}

// Hold has this replica deliver the trails of a shard until the context ends. When it returns, couriers have finished what
// they were pushing and written their cursors, so that another replica can go on from there.
func (d *Delivery) Hold(ctx context.Context, shard int) {
	log.FromContext(ctx).Info("Delivering the trails of a shard", "shard", shard, "of", d.Shards)
	d.running.begin(ctx, d.feed)
	h := &holding{context: ctx}
	d.hold(shard, h)
	d.signal()
	<-ctx.Done()
	d.hold(shard, nil)
	h.couriers.Wait()
	d.leave(shard)
	d.signal()
	d.running.end()
	log.FromContext(ctx).Info("Not delivering the trails of a shard any more", "shard", shard)
}

// hold notes that a shard is held, or is not when h is nil. From then on no courier of it begins.
func (d *Delivery) hold(shard int, h *holding) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h != nil {
		d.held[shard] = h
	} else {
		delete(d.held, shard)
	}
	d.feed.partial.Store(len(d.held) < d.Shards)
	d.Metrics.ShardsHeld(len(d.held))
}

// leave forgets the trails of a shard, whose couriers have ended.
func (d *Delivery) leave(shard int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for trail, s := range d.couriers {
		if s.shard == shard {
			delete(d.couriers, trail)
			d.Metrics.Forget(trail.Namespace, trail.Name)
		}
	}
}

func (d *Delivery) signal() {
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// Changed has something when this replica took a shard or left one: Holds then says something else about some trails.
func (d *Delivery) Changed() <-chan struct{} { return d.changed }

func (d *Delivery) shardOf(trail types.UID) int { return shards.Of(trail, d.Shards) }

// Holds says whether this replica delivers the trail with a uid.
func (d *Delivery) Holds(trail types.UID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.held[d.shardOf(trail)] != nil
}

// begin runs a courier for a trail as the API server shows it now, unless its shard was left meanwhile.
func (d *Delivery) begin(trail *v1alpha1.AuditTrail) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	shard := d.shardOf(trail.UID)
	h := d.held[shard]
	if h == nil {
		return nil
	}
	c, err := d.newCourier(trail)
	if err != nil {
		return err
	}
	d.recallLocked(h.context, c)
	ctx, cancel := context.WithCancel(h.context)
	s := &service{courier: c, shard: shard, cancel: cancel, done: make(chan struct{})}
	key := client.ObjectKeyFromObject(trail)
	d.couriers[key] = s
	h.couriers.Go(func() {
		defer cancel()
		defer close(s.done)
		defer d.feed.unsubscribe(trail.UID)
		d.feed.subscribe(trail.UID, c.box, c.at.version, d.feed.isKnown(ctx, c.at.version))
		c.run(ctx)
		d.remember(c)
	})
	return nil
}

// watching runs the feed while somebody needs it.
type watching struct {
	mu     sync.Mutex
	users  int
	cancel context.CancelFunc
	done   chan struct{}
}

// begin runs the feed unless it runs. It outlives the context of whoever needed it first.
func (w *watching) begin(ctx context.Context, f *feed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.users++
	if w.users > 1 {
		return
	}
	ctx, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	w.done = done
	go func() {
		defer close(done)
		f.reset()
		f.run(ctx)
	}()
}

// end waits for the end of the feed if nobody else needs it.
func (w *watching) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.users--
	if w.users == 0 {
		w.cancel()
		<-w.done
	}
}

// pass moves the position past an event of a trail that is not served here, and is false for any other. It reads no more of
// the event than whose it is.
func (f *feed) pass(version uint64, created *recorded.Wire) bool {
	trail, err := created.Trail()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil || f.inboxes[trail] != nil {
		return false
	}
	f.position = max(f.position, version)
	return true
}
