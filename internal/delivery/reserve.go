package delivery

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// Limits bound what waits while destinations take nothing.
type Limits struct {
	// Single is how many events of one trail wait as AuditEvents before the oldest are packed. Default 10,000, which is
	// about what an API server serves well of one kind.
	Single int
	// Events is how many events of one trail may wait in all. Default 2,000,000.
	Events int64
	// Bytes is how much of etcd the chunks of all trails may take. Default 640 MiB.
	Bytes int64
	// After is how long a destination must have failed before events are packed. Default 30 s.
	After time.Duration
}

// Defaults of Limits.
const (
	DefaultSingle = 10_000
	DefaultEvents = 2_000_000
	DefaultBytes  = 640 << 20
	defaultAfter  = 30 * time.Second
)

func (l Limits) withDefaults() Limits {
	if l.Single == 0 {
		l.Single = DefaultSingle
	}
	if l.Events == 0 {
		l.Events = DefaultEvents
	}
	if l.Bytes == 0 {
		l.Bytes = DefaultBytes
	}
	if l.After == 0 {
		l.After = defaultAfter
	}
	return l
}

// fullFor is how long after there was room again recorders may not have known of it.
const fullFor = 15 * time.Second

// reserve is what a courier knows of the events that wait beyond those in its memory.
type reserve struct {
	// chunks are the stored chunks past the cursor, oldest first, and passed those whose deletion waits for the cursor to be
	// written.
	chunks, passed []packedEvents
	// unpacking says that the queue holds events of the first chunk, of which read is how many were read.
	unpacking bool
	read      int64
	// packing says that the queue holds events that are being packed; writing are in a chunk that is not stored yet.
	packing bool
	writing int
	// rest is how many single events wait that are neither in memory nor announced by the feed.
	rest int
	// failing is since when the destination has taken nothing; zero while it takes.
	failing time.Time
	// oldest is when the oldest event that waits was recorded.
	oldest time.Time
	// full says that no more may wait, and fullAt when it last was so.
	full   bool
	fullAt time.Time
}

// packed is how many events wait in chunks.
func (c *courier) packed() int64 {
	var count int64
	for i := range c.reserve.chunks {
		count += c.reserve.chunks[i].count
	}
	if c.reserve.unpacking {
		count -= c.reserve.read - int64(len(c.queue))
	}
	return count
}

// singles is about how many events wait that are in no chunk.
func (c *courier) singles() int {
	count := len(c.ahead) + c.reserve.writing + c.reserve.rest + c.box.size()
	if !c.reserve.unpacking {
		count += len(c.queue)
	}
	return count
}

// overflows says that it is time to pack.
func (c *courier) overflows() bool {
	limits := &c.delivery.Limits
	return !c.reserve.failing.IsZero() && c.clock().Since(c.reserve.failing) >= limits.After && c.singles() > limits.Single
}

// failed notes whether the destination takes events.
func (c *courier) failed(failing bool) {
	switch {
	case !failing:
		c.reserve.failing = time.Time{}
	case c.reserve.failing.IsZero():
		c.reserve.failing = c.clock().Now()
	}
}

// status is what the trail's status should say now.
func (c *courier) status(ctx context.Context) *v1alpha1.DeliveryStatus {
	packed := c.packed()
	pending := packed + int64(c.singles())
	status := c.at.status(pending, c.drained)
	status.Packed = packed
	if c.isFull(ctx, packed, pending) {
		status.Backlog = v1alpha1.BacklogFull
	}
	return status
}

// isFull says whether no more events may wait. Once it was so, a tenth has to be delivered before it is over.
func (c *courier) isFull(ctx context.Context, packed, pending int64) bool {
	events, bytes := c.delivery.Limits.Events, c.delivery.Limits.Bytes
	if c.reserve.full {
		events, bytes = events/10*9, bytes/10*9
	}
	full := pending >= events
	if !full && packed > 0 {
		total, err := c.delivery.chunks.total(ctx)
		if err != nil {
			log.FromContext(ctx).Error(err, "Not knowing how much all trails have in chunks")
			return c.reserve.full
		}
		full = total >= bytes
	}
	if full || c.reserve.full {
		c.reserve.fullAt = c.clock().Now()
	}
	c.reserve.full = full
	return full
}

// refusedSince says whether events may have been turned away since a moment because no more could wait.
func (c *courier) refusedSince(since time.Time) bool {
	return c.reserve.full || !c.reserve.fullAt.IsZero() && !since.After(c.reserve.fullAt.Add(fullFor))
}

// told is the state as the condition Delivering shows it.
func (c *courier) told(status *v1alpha1.DeliveryStatus) State {
	state := c.state
	if status.Packed == 0 {
		return state
	}
	state.Message += fmt.Sprintf("; about %d events wait, %d of them packed", roughly(status.Pending), roughly(status.Packed))
	if status.Backlog == v1alpha1.BacklogFull {
		state.Message += ", and no more are recorded"
	}
	return state
}

// roughly keeps two digits of a number, so that a condition does not change with every event.
func roughly(count int64) int64 {
	unit := int64(1)
	for count/unit >= 100 {
		unit *= 10
	}
	return count / unit * unit
}

// dropPassed deletes the chunks that the written cursor has passed. What cannot be deleted now can be later: nobody reads it
// any more.
func (c *courier) dropPassed(ctx context.Context) {
	passed := c.reserve.passed
	for len(passed) > 0 && passed[0].last <= c.at.version {
		if err := c.delivery.chunks.remove(ctx, &passed[0]); err != nil {
			log.FromContext(ctx).Error(err, "Leaving a chunk whose events are delivered for later")
			break
		}
		passed = passed[1:]
	}
	c.reserve.passed = passed
}
