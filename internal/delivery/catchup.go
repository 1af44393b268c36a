package delivery

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/internal/pause"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// catchUp reads what was recorded past the cursor from the API server, and delivers it.
func (c *courier) catchUp(ctx context.Context) error {
	if c.delivery.feed.at() == 0 {
		// The feed has not begun, and would leave this list behind when it does; it says so by the inbox.
		c.wait(ctx, c.delivery.CommitEvery)
		return nil
	}
	c.box.follow()
	packed, err := c.deliverChunks(ctx)
	if err != nil {
		c.queue = nil
		c.box.forget()
		return err
	}
	list := c.delivery.backlogOf(c.key, c.uid)
	restored, err := list.open(ctx, c.at.version, c.at.version)
	if err != nil {
		c.box.forget()
		return err
	}
	if restored && c.at.version > 0 {
		c.at.version, c.anew, c.inherited = 0, true, 0
		return c.catchUp(ctx) // Chunks below the cursor count again, too.
	}
	if !packed {
		c.vanished(ctx, int(c.inherited)-list.order.count)
	}
	c.inherited = 0
	c.past = list.before
	c.box.cover(list.upTo)
	err = c.deliverBacklog(ctx, list, c.deliver)
	c.vanished(ctx, list.vanished)
	if err != nil {
		c.queue = nil
		c.box.forget()
		return unlessLost(err)
	}
	c.at.version = max(c.at.version, list.upTo)
	// The end of a backlog is rare, and what people wait for: it is written at once.
	c.commitAt = time.Time{}
	return c.commitIfDue(ctx)
}

// vanished tells of events that somebody deleted before they were delivered, if any. Retention deletes none of those.
func (c *courier) vanished(ctx context.Context, events int) {
	if events <= 0 {
		return
	}
	log.FromContext(ctx).Error(errVanished, "Delivering what is left", "events", events)
	c.delivery.Metrics.Vanished(events)
}

// deliverBacklog delivers one part of a backlog while it reads the part after the next. The next one is there to judge by.
// What is done with events that are due is up to deliver, which takes them from the queue.
func (c *courier) deliverBacklog(ctx context.Context, list *backlog, deliver func(context.Context, []recorded.Event) error) error {
	c.judge.KeepGlance()
	defer c.judge.DropGlance()
	defer func() { c.ahead = nil }()
	events, err := list.take(ctx, window)
	if err != nil {
		return err
	}
	if c.ahead, err = list.take(ctx, window); err != nil {
		return err
	}
	for len(events) > 0 {
		c.reserve.rest = list.order.count
		var following []recorded.Event
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() (err error) {
			following, err = list.take(ctx, window)
			return err
		})
		group.Go(func() error { return c.deliverAll(ctx, events, deliver) })
		if err := group.Wait(); err != nil {
			return err
		}
		events, c.ahead = slices.Concat(c.queue, c.ahead), following
	}
	c.reserve.rest = 0
	return nil
}

// deliverAll delivers events of a backlog, the last of which may not be due yet. While others follow, those that do not
// fill a batch stay in the queue.
func (c *courier) deliverAll(ctx context.Context, events []recorded.Event, deliver func(context.Context, []recorded.Event) error) error {
	c.queue = events
	for len(c.queue) > 0 && (len(c.ahead) == 0 || c.full() > 0) {
		if err := ctx.Err(); err != nil {
			c.queue = nil
			return err
		}
		if rest := c.untilDue(); rest > 0 {
			pause.For(ctx, rest)
			continue
		}
		if err := deliver(ctx, c.dueEvents()); err != nil {
			c.queue = nil
			return err
		}
		if err := c.commitIfDue(ctx); err != nil {
			c.queue = nil
			return err
		}
	}
	return nil
}
