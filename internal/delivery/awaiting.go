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
	// othersPatience is how long other webhooks may take, which the API server gives 30 s at most, and the clock of another replica be ahead.
	othersPatience = 40 * time.Second
	// feedMoves bounds the events that are written to move it: those that are gone, or were written before, do not.
	feedMoves = 8
)

// otherWebhooks are the validating webhooks of others.
type otherWebhooks interface {
	// Refresh learns of them anew, unless that was done a moment ago.
	Refresh(ctx context.Context) error
	// Longest is for how long they may keep a change; 0 when they are not asked about it.
	Longest(ref *v1alpha1.ResourceReference, action v1alpha1.Action) time.Duration
}

// noOthers says that there are none.
type noOthers struct{}

func (noOthers) Refresh(context.Context) error { return nil }

func (noOthers) Longest(*v1alpha1.ResourceReference, v1alpha1.Action) time.Duration { return 0 }

// awaitFeed waits until the feed has shown all that was recorded up to a resourceVersion, which may tell of events that are open, and says
// whether it has. was is where the feed was a while ago.
func (c *courier) awaitFeed(ctx context.Context, version, was uint64, events []recorded.Event, verdicts []outcome.Verdict) (bool, error) {
	feed := c.delivery.feed
	if feed.at() >= version || c.box.isBehind() {
		return true, nil // What an inbox does not have is reckoned with apart.
	}
	written, err := c.moveFeed(ctx, version, events, verdicts)
	if err != nil {
		return false, err
	}
	began, moved := time.Now(), time.Now().Add(-secondLook)
	for at := feed.at(); at < version; at = feed.at() {
		if at != was {
			was, moved = at, time.Now()
		}
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case time.Since(began) > feedPatience:
			return false, nil
		case !written && time.Since(moved) >= secondLook:
			return true, nil // Nobody records anything.
		}
		pause.For(ctx, feedLook)
	}
	return true, nil
}

// moveFeed writes one of the events that seem not to have been made: where nobody records anything, the feed shows nothing by which to tell
// that there is nothing to show. It says whether it did.
func (c *courier) moveFeed(ctx context.Context, version uint64, events []recorded.Event, verdicts []outcome.Verdict) (bool, error) {
	for i, tries := 0, 0; i < len(events) && tries < feedMoves; i++ {
		if !outcome.SpeaksAgainst(&events[i], verdicts[i].Judgement) {
			continue
		}
		tries++
		written, err := c.writeStatus(ctx, &events[i], v1alpha1.AuditEventStatus{})
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return false, err
		case written > version:
			return true, nil
		}
	}
	return false, nil
}
