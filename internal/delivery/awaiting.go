package delivery

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/outcome"
	"github.com/trailkeeper/trailkeeper/internal/pause"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

const (
	// feedPatience is how long the feed may take to show what was recorded. An API server with too much to do was seen to take 2 s.
	feedPatience = 30 * time.Second
	// feedLook is how often it is looked whether it has.
	feedLook = 50 * time.Millisecond
)

// awaitFeed waits until the feed has shown all that was recorded up to a resourceVersion, which may tell of the events that are open, and
// says whether it has.
func (c *courier) awaitFeed(ctx context.Context, version uint64, events []recorded.Event, verdicts []outcome.Verdict) (bool, error) {
	feed := c.delivery.feed
	if feed.at() >= version || c.box.isBehind() {
		return true, nil // What an inbox does not have is reckoned with apart.
	}
	if err := c.moveFeed(ctx, version, events, verdicts); err != nil {
		return false, err
	}
	for until := time.Now().Add(feedPatience); feed.at() < version; pause.For(ctx, feedLook) {
		if ctx.Err() != nil || time.Now().After(until) {
			return false, ctx.Err()
		}
	}
	return true, nil
}

// moveFeed writes one of the events that are open: where nobody records anything, the feed shows nothing by which to tell that there is
// nothing to show.
func (c *courier) moveFeed(ctx context.Context, version uint64, events []recorded.Event, verdicts []outcome.Verdict) error {
	for i := range events {
		if !outcome.IsOpen(&events[i], verdicts[i].Judgement) {
			continue
		}
		written, err := c.writeStatus(ctx, &events[i], v1alpha1.AuditEventStatus{})
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return err
		case written > version:
			return nil
		}
	}
	return nil
}
