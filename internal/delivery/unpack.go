package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-json-experiment/json"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/chunk"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// beyond is the resourceVersion up to which everything is delivered or packed. An AuditEvent at or below it that is still
// there was packed by somebody who could not delete it any more.
func (c *courier) beyond() uint64 {
	if last := len(c.reserve.chunks) - 1; last >= 0 {
		return max(c.at.version, c.reserve.chunks[last].last)
	}
	return c.at.version
}

// findChunks looks which chunks there are past the cursor.
func (c *courier) findChunks(ctx context.Context) error {
	found, err := c.delivery.chunks.of(ctx, c.uid, c.at.version)
	if err != nil {
		return err
	}
	if len(found) > 0 && c.reserve.chunks == nil && c.reserve.fullAt.IsZero() {
		// Another replica packed them, which may have had to turn away events.
		c.reserve.fullAt = c.clock().Now()
	}
	c.reserve.chunks = found
	return nil
}

// deliverChunks delivers everything that is packed; found says whether something was.
func (c *courier) deliverChunks(ctx context.Context) (found bool, err error) {
	if err := c.findChunks(ctx); err != nil || len(c.reserve.chunks) == 0 {
		return false, err
	}
	list := c.delivery.backlogOf(c.key, c.uid)
	restored, err := list.open(ctx, c.at.version, c.beyond())
	if err != nil || restored {
		return true, err
	}
	c.box.cover(list.upTo)
	c.reserve.rest = list.order.count
	for len(c.reserve.chunks) > 0 {
		first := c.reserve.chunks[0]
		if err := c.deliverChunk(ctx, &first); err != nil {
			return true, err
		}
		c.at.version = max(c.at.version, first.last)
		c.reserve.chunks, c.reserve.passed = c.reserve.chunks[1:], append(c.reserve.passed, first)
		if err := c.commitIfDue(ctx); err != nil {
			return true, err
		}
	}
	// What is listed next has all that the feed gave meanwhile.
	c.box.follow()
	c.commitAt = time.Time{}
	return true, c.commitIfDue(ctx)
}

// deliverChunk pushes the events of the first chunk, part by part, with the outcomes that were found out when they were
// packed.
func (c *courier) deliverChunk(ctx context.Context, stored *packedEvents) error {
	reader, err := c.delivery.chunks.open(ctx, stored.name)
	if err != nil {
		return c.unreadable(ctx, err)
	}
	if reader == nil {
		log.FromContext(ctx).Error(nil, "Somebody deleted events that were packed and not delivered",
			"chunk", stored.name, "events", stored.count)
		return nil
	}
	c.reserve.unpacking, c.reserve.read, c.queue = true, 0, nil
	defer func() { c.reserve.unpacking, c.queue = false, nil }()
	for {
		judgements, end, err := c.unpack(reader)
		if err != nil {
			return c.unreadable(ctx, &unreadableError{stored.name, err})
		}
		if len(c.queue) > 0 {
			if err := c.push(ctx, c.queue, judgements); err != nil {
				return err
			}
		}
		if err := c.commitIfDue(ctx); err != nil || end {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// unpack reads the next events past the cursor into the queue.
func (c *courier) unpack(reader *chunk.Reader) (judgements []ledger.Judgement, end bool, err error) {
	limit, bytes := c.delivery.windowBytes(), 0
	for len(c.queue) < window && bytes < limit {
		entry, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return judgements, true, nil
		}
		if err != nil {
			return nil, false, err
		}
		c.reserve.read++
		if entry.ResourceVersion <= c.at.version {
			continue
		}
		event, err := c.eventOf(entry)
		if err != nil {
			return nil, false, err
		}
		c.queue = append(c.queue, event)
		judgements = append(judgements, ledger.Judgement{Outcome: entry.Outcome, Message: entry.Message})
		bytes += event.Size()
	}
	return judgements, false, nil
}

// eventOf is a packed event as it was when it was judged.
func (c *courier) eventOf(entry *chunk.Entry) (recorded.Event, error) {
	event := recorded.Event{
		NamespacedName:  types.NamespacedName{Namespace: entry.Namespace, Name: entry.Name},
		ResourceVersion: entry.ResourceVersion,
		Trail:           c.uid,
		Spec:            entry.Spec,
		Status:          v1alpha1.AuditEventStatus{Outcome: entry.Outcome, Message: entry.Message},
	}
	if err := json.Unmarshal(entry.Spec, &event.Head); err != nil {
		return recorded.Event{}, fmt.Errorf("decoding the spec of AuditEvent %s: %w", event.NamespacedName, err)
	}
	return event, nil
}

// unreadable shows that a chunk is damaged. Delivery does not go on without its events: that would be a hole in the record
// which nobody decided to make.
func (c *courier) unreadable(ctx context.Context, err error) error {
	var damaged *unreadableError
	if errors.As(err, &damaged) {
		c.report(State{Reason: v1alpha1.ReasonChunkUnreadable, Message: damaged.Error()})
		err = errors.Join(err, c.commitIfDue(ctx))
	}
	return err
}
