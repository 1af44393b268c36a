package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/chunk"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

const (
	// MaxChunk bounds a chunk's data, in bytes, about.
	MaxChunk = 512 << 10
	// MaxChunkEvents bounds what is remembered of a chunk's events until they are deleted.
	MaxChunkEvents = 10_000
	// relieveFor is how long events are packed before the destination is tried again.
	relieveFor = time.Minute
	// deleters is how many AuditEvents are deleted at once; more than 16 gain nothing.
	deleters = 12
)

var (
	// errOverflow says that more events wait for a failing destination than may wait singly.
	errOverflow = errors.New("too many events wait for the destination")
	// errEnough says that few enough are left.
	errEnough = errors.New("few enough events are left")
)

// relieved packs events when a step ended because too many wait.
func (c *courier) relieved(ctx context.Context, err error) error {
	if !errors.Is(err, errOverflow) {
		return err
	}
	// What was packed is not what the feed gave: the next step reads anew what waits.
	defer c.box.forget()
	return c.relieve(ctx)
}

// relieve packs the oldest events that wait singly until half as many are left as may, or for a while.
func (c *courier) relieve(ctx context.Context) error {
	c.reserve.packing, c.queue, c.ahead = true, nil, nil
	defer func() { c.reserve.packing, c.reserve.writing, c.queue = false, 0, nil }()
	c.box.follow()
	if err := c.findChunks(ctx); err != nil {
		return err
	}
	list := c.delivery.backlogOf(c.key, c.uid)
	if restored, err := list.open(ctx, c.at.version, c.beyond()); err != nil || restored {
		return err
	}
	if err := c.cleanUp(ctx, list.leftover); err != nil {
		return err
	}
	c.box.cover(list.upTo)
	p := &packing{
		courier: c,
		limit:   min(c.delivery.maxChunk, c.delivery.windowBytes()),
		enough:  c.delivery.Limits.Single / 2,
		until:   c.clock().Now().Add(relieveFor),
	}
	log.FromContext(ctx).Info("Packing events that wait for the destination", "waiting", list.order.count, "packed", c.packed())
	err := c.deliverBacklog(ctx, list, p.take)
	if unlessLost(err) != nil && !errors.Is(err, errEnough) {
		return err
	}
	return p.store(ctx)
}

// packing fills chunks.
type packing struct {
	*courier
	writer chunk.Writer
	// limit is how large a chunk's data becomes, about; enough is how many events may be left, and until when is packed.
	limit, enough int
	until         time.Time
	// singles are the AuditEvents that are in the chunk that is being filled.
	singles []single
}

// single is an AuditEvent to delete.
type single struct {
	types.NamespacedName
	uid types.UID
}

// take judges the events that begin the queue, packs them and takes them from the queue. A day later they could not be
// judged any more.
func (p *packing) take(ctx context.Context, events []recorded.Event) error {
	judgements, err := p.judgeTwice(ctx, events)
	if err := errors.Join(ctx.Err(), err); err != nil {
		return err
	}
	for i := range events {
		if judgements[i].Outcome != "" {
			p.delivery.Metrics.Judged(judgements[i].Outcome)
		}
		events[i].Status.Outcome, events[i].Status.Message = judgements[i].Outcome, judgements[i].Message
		if err := p.add(ctx, &events[i], judgements[i]); err != nil {
			return err
		}
	}
	p.leave(len(events))
	p.reserve.writing = p.writer.Count()
	if p.courier.singles()-p.reserve.writing <= p.enough || p.clock().Now().After(p.until) {
		return errEnough
	}
	return nil
}

func (p *packing) add(ctx context.Context, event *recorded.Event, judgement ledger.Judgement) error {
	err := p.writer.Add(&chunk.Entry{
		Namespace: event.Namespace, Name: event.Name, ResourceVersion: event.ResourceVersion,
		Outcome: judgement.Outcome, Message: judgement.Message, Spec: event.Spec,
	})
	if err != nil {
		return err
	}
	p.singles = append(p.singles, single{event.NamespacedName, event.UID})
	if p.writer.Size() < p.limit && p.writer.Count() < MaxChunkEvents {
		return nil
	}
	return p.store(ctx)
}

// store stores the chunk, and then deletes the AuditEvents that are in it. Whoever ends in between leaves both: then the
// chunk is what counts.
func (p *packing) store(ctx context.Context) error {
	packed, err := p.writer.Finish()
	if err != nil || packed.Count == 0 {
		return err
	}
	if err := p.delivery.cursors.holds(ctx, p.trail.Load(), p.committed, p.unsure); err != nil {
		return err
	}
	stored, err := p.delivery.chunks.store(ctx, p.trail.Load(), &packed)
	if err != nil {
		return err
	}
	p.reserve.chunks, p.reserve.writing = append(p.reserve.chunks, stored), 0
	singles := p.singles
	p.singles = nil
	return p.delivery.deleteAll(ctx, singles)
}

// cleanUp deletes the AuditEvents that somebody packed and did not come to delete.
func (c *courier) cleanUp(ctx context.Context, leftover []single) error {
	if len(leftover) == 0 {
		return nil
	}
	log.FromContext(ctx).Info("Deleting AuditEvents that are packed already", "events", len(leftover))
	return c.delivery.deleteAll(ctx, leftover)
}

// deleteAll deletes exactly these AuditEvents.
func (d *Delivery) deleteAll(ctx context.Context, singles []single) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(deleters)
	for i := range singles {
		group.Go(func() error { return d.delete(ctx, &singles[i]) })
	}
	return group.Wait()
}

func (d *Delivery) delete(ctx context.Context, s *single) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	event := &v1alpha1.AuditEvent{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name}}
	err := d.Client.Delete(ctx, event, client.Preconditions{UID: &s.uid})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("deleting AuditEvent %s, which is packed: %w", s.NamespacedName, err)
	}
	return nil
}
