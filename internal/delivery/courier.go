package delivery

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/outcome"
	"github.com/trailkeeper/trailkeeper/internal/pause"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

const (
	// window is how many events are judged and pushed at once. More take more memory and no less time.
	window = 1500
	// stalled is how often a courier looks whether the API server still stores nothing.
	stalled = time.Second
	// stopTimeout bounds what a courier does after it was told to stop.
	stopTimeout = 10 * time.Second
)

// errLost says that events were recorded, which may tell of those that are to be judged, while the feed saw nothing.
var errLost = errors.New("the feed saw nothing for a while")

// errVanished says what became of events that are not there any more.
var errVanished = errors.New("AuditEvents were deleted before they were delivered")

// courier delivers the events of one trail.
type courier struct {
	delivery *Delivery
	key      types.NamespacedName
	uid      types.UID
	// Trail is the trail as last seen; its spec may change while the courier works.
	trail atomic.Pointer[v1alpha1.AuditTrail]
	box   *inbox
	judge *outcome.Judge
	// scribe keeps the trail's ledger; nil for a trail that has none.
	scribe *scribe
	// changed has something when the trail, or what it refers to, changed.
	changed chan struct{}

	// queue are events that were taken and not delivered yet, in order.
	queue []recorded.Event
	// wrapping is what records had lately beside their events' specs, in bytes.
	wrapping int
	// lag is how late events come from local files.
	lag lag
	// Past are events that left the queue.
	past outcome.Past
	// known is the memory of around.
	known []recorded.Event
	// ahead are the events of a backlog that follow those of the queue.
	ahead []recorded.Event
	// At is how far events were delivered, and committed how far the status says so.
	at        cursor
	committed progress
	// inherited is how many events waited past the cursor when it was written, by whoever delivered before; until it is known
	// what became of them.
	inherited int64
	// unsure is a status of which it is not known whether the API server has stored it; nil when there is none.
	unsure   *progress
	commitAt time.Time
	// drained is since when a deleted trail has nothing left here.
	drained *metav1.Time
	// anew says that at is of a restored history, of which nothing is committed yet.
	anew bool
	// ending is when a courier that was told to stop gives up.
	ending ending
	// reserve is what waits beyond that.
	reserve reserve
	// state is how it goes, and shown what the condition Delivering says of it.
	state, shown State
}

// run works until the context ends, or until another replica takes over.
func (c *courier) run(ctx context.Context) {
	ctx = log.IntoContext(ctx, log.FromContext(ctx).WithValues("trail", c.key.String()))
	defer c.ending.follow(ctx)()
	defer c.scribe.abandon()
	retry := newBackoff()
	for ctx.Err() == nil {
		err := c.relieved(ctx, c.step(ctx))
		var deposed *deposedError
		switch {
		case err == nil:
			retry = newBackoff()
		case ctx.Err() != nil:
		case errors.As(err, &deposed):
			log.FromContext(ctx).Info("Stopping the delivery of a trail", "reason", deposed.reason)
			return
		default:
			log.FromContext(ctx).Error(err, "Delivering again after a pause")
			pause.For(ctx, retry.Step())
		}
	}
	c.stop(ctx)
}

// step does one thing: delivers what is due, reads what the feed did not have, or waits.
func (c *courier) step(ctx context.Context) error {
	if c.paused() {
		if len(c.queue) == 0 {
			if err := c.noteDrained(ctx); err != nil {
				return err
			}
		}
		c.wait(ctx, c.delivery.Linger)
		return c.commitIfDue(ctx)
	}
	behind := c.fill()
	if len(c.queue) > 0 && c.box.isBehind() {
		c.queue, behind = nil, true // It is read again, with what tells of it and is not in the inbox.
	}
	if len(c.queue) > 0 {
		if rest := c.untilDue(); rest > 0 {
			pause.For(ctx, rest)
			return nil
		}
		if err := c.deliver(ctx, c.dueEvents()); err != nil {
			return unlessLost(err)
		}
		return c.commitIfDue(ctx)
	}
	if behind {
		return c.catchUp(ctx)
	}
	if err := c.noteDrained(ctx); err != nil {
		return err
	}
	longest := c.delivery.CommitEvery
	if c.drains() {
		longest = c.delivery.Linger // Its end is what somebody waits for.
	}
	c.wait(ctx, longest)
	return c.commitIfDue(ctx)
}

// unlessLost leaves out an error after which the next step reads everything again.
func unlessLost(err error) error {
	if errors.Is(err, errLost) {
		return nil
	}
	return err
}

// drains says that the trail was deleted, and its status does not say yet that nothing is left.
func (c *courier) drains() bool {
	return !c.trail.Load().DeletionTimestamp.IsZero() && c.drained == nil
}

// noteDrained has the status say that a deleted trail has nothing left here, when the courier has nothing itself: the wipe of a
// namespace takes the AuditEvents in it, delivered or not, so the cluster alone does not tell that.
func (c *courier) noteDrained(ctx context.Context) error {
	if !c.drains() {
		return nil
	}
	head, err := c.delivery.source.head(ctx)
	if err != nil {
		return err
	}
	// What the feed has shown is in the inbox by now.
	if c.delivery.feed.hasShown(head, c.trail.Load().DeletionTimestamp.Time, c.delivery.Settle) && c.box.size() == 0 {
		now := metav1.NewTime(c.clock().Now().Truncate(time.Second))
		c.drained, c.commitAt = &now, time.Time{}
	}
	return nil
}

// fill takes what the feed has; behind says that more was recorded than the feed could give.
func (c *courier) fill() (behind bool) {
	if len(c.queue) > window {
		return false
	}
	events, behind := c.box.take()
	c.lag.note(events, c.clock().Now())
	for i := range events {
		if events[i].ResourceVersion > c.reached() {
			c.queue = append(c.queue, events[i])
		}
	}
	return behind
}

// reached is the resourceVersion of the last event that was taken.
func (c *courier) reached() uint64 {
	if last := len(c.queue) - 1; last >= 0 {
		return c.queue[last].ResourceVersion
	}
	return c.at.version
}

// untilDue is how long to wait until the first event may be judged, and until a batch is worth a call.
func (c *courier) untilDue() time.Duration {
	settle := c.settle()
	due := c.queue[0].Due(settle).Add(c.delivery.Linger)
	if full := c.full(); full > 0 { // Nothing is gained by lingering.
		due = c.queue[full-1].Due(settle)
	}
	return max(due.Sub(c.clock().Now()), c.delivery.feed.untilCalm(), c.untilWritten())
}

// untilWritten is how long events of the last time in which the API server stored nothing may still come: until they have, nobody can
// know what was deleted. Replicas keep them in their files, and write them after a pause that is not longer than that was.
func (c *courier) untilWritten() time.Duration {
	switch lasted, ago := c.delivery.Silence(); {
	case lasted < minCalm, lasted > maxStall:
		return 0
	case ago == 0:
		return stalled
	default:
		return max(0, min(lasted+minCalm, maxCalm)-ago)
	}
}

// dueEvents are the first events of the queue that may be judged; at least one, since untilDue has passed. When they are
// more than a batch, those that would begin another one stay.
func (c *courier) dueEvents() []recorded.Event {
	now, settle := c.clock().Now(), c.settle()
	count := 1
	for count < min(len(c.queue), window) && !c.queue[count].Due(settle).After(now) {
		count++
	}
	return c.queue[:c.whole(c.queue[:count])]
}

// settle is how long after an event was stored it may be judged: while events of the same time still come from local
// files, what they tell is not known yet.
func (c *courier) settle() time.Duration { return c.delivery.Settle + c.lateness() }

// lateness is how late events come from local files.
func (c *courier) lateness() time.Duration {
	now := c.clock().Now()
	c.box.show(func(events []recorded.Event) { c.lag.note(events, now) })
	return max(c.lag.at(now), min(c.delivery.Waiting(), maxLag))
}

// wait returns when the feed has something, or after a while.
func (c *courier) wait(ctx context.Context, longest time.Duration) {
	timer := c.clock().NewTimer(longest)
	defer timer.Stop()
	c.known = nil
	select {
	case <-ctx.Done():
	case <-c.box.wake:
	case <-timer.C():
	}
}

func (c *courier) clock() clock.Clock { return c.delivery.Clock }

// paused says whether the trail wants nothing pushed.
func (c *courier) paused() bool { return suspended(c.trail.Load()) }

func suspended(trail *v1alpha1.AuditTrail) bool {
	return trail.Spec.Suspend != nil && *trail.Spec.Suspend
}

// rests says that nothing is about to be pushed.
func (c *courier) rests() bool {
	return c.paused() || len(c.queue) == 0 && len(c.ahead) == 0 && c.box.size() == 0
}
