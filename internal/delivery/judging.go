package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/outcome"
	"github.com/trailkeeper/trailkeeper/internal/pause"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// writers is how many outcomes are written at once for one trail.
const writers = 8

// secondLook is how long the deletion of an object that was created a moment before may take to be read.
const secondLook = time.Second

// judgeTwice judges events, and again what a read alone decided: the events that tell of what came before the read were
// recorded before it, but may not have been known yet. It judges at least the first one.
func (c *courier) judgeTwice(ctx context.Context, events []recorded.Event) ([]ledger.Judgement, error) {
	following := func() bool { return len(c.ahead) == 0 && !c.box.isBehind() }
	verdicts, err := c.judgeSettled(ctx, events, following)
	if err != nil {
		return nil, err
	}
	events = events[:len(verdicts)]
	open := false
	for i := range verdicts {
		open = open || verdicts[i].IsOpen(&events[i], following())
	}
	shown := true
	if open {
		until := time.Now().Add(secondLook)
		was := c.delivery.feed.at()
		head, err := c.delivery.source.head(ctx)
		if err != nil {
			return nil, err
		}
		if err := c.judge.Recall(ctx, events, c.known, verdicts, c.box.isBehind()); err != nil { // It takes about as long.
			return nil, err
		}
		pause.For(ctx, time.Until(until))
		if shown, err = c.awaitFeed(ctx, head, was, events, verdicts); err != nil {
			return nil, err
		}
		c.judge.Again(events, c.around(len(events)), verdicts, following())
	}
	if c.box.hasLost() {
		return nil, errLost
	}
	unknown := open && (!shown || c.box.isBehind()) // What tells of the events may be among what the inbox does not have.
	judgements := make([]ledger.Judgement, len(events))
	for i := range verdicts {
		judgements[i] = verdicts[i].Judgement
		if unknown && verdicts[i].IsOnlyRead(&events[i]) {
			judgements[i] = outcome.Unsettled(&events[i])
		}
	}
	return judgements, nil
}

// judgeSettled judges events when it is known what was missed, and when no other webhook keeps what seems refused: it judges those before
// the first that one may keep, or waits for all where that is the first of them.
func (c *courier) judgeSettled(ctx context.Context, events []recorded.Event, following func() bool) ([]outcome.Verdict, error) {
	if err := c.delivery.OtherWebhooks.Refresh(ctx); err != nil {
		return nil, err
	}
	verdicts, err := c.judge.All(ctx, events, c.around(len(events)), following())
	if err == nil && c.awaitAccount(ctx, events, verdicts) {
		verdicts, err = c.judge.All(ctx, events, c.around(len(events)), following())
	}
	if err != nil {
		return nil, err
	}
	first, rest := c.keptByOthers(verdicts)
	if first == len(events) {
		return verdicts, nil
	}
	if first > 0 {
		c.around(first) // Those that wait are among the others now.
		return verdicts[:first], nil
	}
	pause.For(ctx, rest)
	return c.judge.All(ctx, events, c.around(len(events)), following())
}

// keptByOthers is which of the events is the first that other webhooks may still keep, as it seems not to have been made, and how long it is
// until they keep none of them; the count of the events, and 0, where they keep none now.
func (c *courier) keptByOthers(verdicts []outcome.Verdict) (first int, rest time.Duration) {
	first = len(verdicts)
	for i := range verdicts {
		if left := verdicts[i].EndsAfter.Sub(c.clock().Now()); left > 0 {
			first, rest = min(first, i), max(rest, left)
		}
	}
	return first, min(rest, othersPatience)
}

// recently is for how long before a replica's start what nobody recorded matters to events that seem to have been made.
const recently = time.Minute

// awaitAccount waits until it is known what was missed, if that matters to any of the events, and says whether it became known.
func (c *courier) awaitAccount(ctx context.Context, events []recorded.Event, verdicts []outcome.Verdict) bool {
	since, now := time.Time{}, c.clock().Now()
	for i := range events {
		at := events[i].Head.Time.Time
		matters := verdicts[i].Outcome != v1alpha1.OutcomePersisted || now.Sub(at) < recently
		if matters && (since.IsZero() || at.Before(since)) {
			since = at
		}
	}
	return !since.IsZero() && c.delivery.AccountFor(ctx, since)
}

// around are the events that are known to precede or follow the first ones of the queue, until it is called again: they are many,
// and are copied into the same memory each time.
func (c *courier) around(count int) []recorded.Event {
	c.known = append(c.known[:0], c.past.Events...)
	c.known = append(c.known, c.queue[count:]...)
	c.known = append(c.known, c.ahead...)
	c.known = c.box.peek(c.known)
	return c.known
}

// showOutcomes writes the outcomes that are not Persisted to the events.
func (c *courier) showOutcomes(ctx context.Context, events []recorded.Event, judgements []ledger.Judgement) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for i := range events {
		if outcome.SpeaksAgainst(&events[i], judgements[i]) {
			group.Go(func() error { return c.showOutcome(ctx, &events[i], judgements[i]) })
		}
	}
	return group.Wait()
}

func (c *courier) showOutcome(ctx context.Context, event *recorded.Event, judgement ledger.Judgement) error {
	_, err := c.writeStatus(ctx, event, v1alpha1.AuditEventStatus{Outcome: judgement.Outcome, Message: judgement.Message})
	return client.IgnoreNotFound(err)
}

// writeStatus writes an event's status, and notes at which version the event was recorded. It returns the version that it is then.
func (c *courier) writeStatus(ctx context.Context, event *recorded.Event, status v1alpha1.AuditEventStatus) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	status.RecordedResourceVersion = apijson.FormatVersion(event.ResourceVersion)
	body, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return 0, fmt.Errorf("encoding the status of AuditEvent %s: %w", event.NamespacedName, err)
	}
	target := &v1alpha1.AuditEvent{ObjectMeta: metav1.ObjectMeta{Namespace: event.Namespace, Name: event.Name}}
	if err := c.delivery.Client.Status().Patch(ctx, target, client.RawPatch(types.MergePatchType, body)); err != nil {
		return 0, fmt.Errorf("writing the status of AuditEvent %s: %w", event.NamespacedName, err)
	}
	return apijson.ParseVersion(target.ResourceVersion)
}
