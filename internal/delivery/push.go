package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/outcome"
	"github.com/trailkeeper/trailkeeper/internal/pause"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// writers is how many outcomes are written at once for one trail.
const writers = 8

// secondLook is how long the deletion of an object that was created a moment before may take to be read.
const secondLook = time.Second

// Sink is a destination that takes records.
type Sink interface {
	// Put pushes one batch. It says which records were refused for good, or fails as a whole.
	Put(ctx context.Context, records []cloudwatch.Record) (cloudwatch.PutResult, error)
	// Ensure makes the destination when it is missing.
	Ensure(ctx context.Context) (cloudwatch.Observed, error)
}

// deliver judges events, chains them and pushes them, and removes them from the queue. events begin the queue. Where some must wait, those
// before them are delivered.
func (c *courier) deliver(ctx context.Context, events []recorded.Event) error {
	judgements, err := c.judgeTwice(ctx, events)
	if err := errors.Join(ctx.Err(), err); err != nil {
		return err
	}
	events = events[:len(judgements)]
	if err := c.showOutcomes(ctx, events, judgements); err != nil {
		return err
	}
	for i := range judgements {
		if judgements[i].Outcome != "" && events[i].Status.Outcome == "" {
			c.delivery.Metrics.Judged(judgements[i].Outcome)
		}
		events[i].Status.Outcome, events[i].Status.Message = judgements[i].Outcome, judgements[i].Message
	}
	if c.trail.Load().Spec.CloudWatch == nil {
		c.keep(events)
		return nil
	}
	return c.push(ctx, events, judgements)
}

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
	first, rest := c.keptByOthers(events, verdicts)
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

// keep accounts for events of a trail that pushes nowhere.
func (c *courier) keep(events []recorded.Event) {
	c.at.head.Sequence += int64(len(events))
	c.at.version = events[len(events)-1].ResourceVersion
	c.leave(len(events))
}

// leave takes the first events from the queue; they were judged.
func (c *courier) leave(count int) {
	c.past.Add(c.queue[:count], c.lateness())
	c.queue = c.queue[count:]
}

// push chains events and pushes them batch by batch. It returns when the destination has taken or refused all of them,
// or when the context ended.
func (c *courier) push(ctx context.Context, events []recorded.Event, judgements []ledger.Judgement) error {
	records, heads, err := c.chain(ctx, events, judgements)
	if err != nil {
		return err
	}
	c.learnSizes(events, records)
	send := func(batch []cloudwatch.Record, upTo int) error {
		if len(batch) == 0 {
			return nil
		}
		refused, err := c.put(ctx, batch)
		if err != nil {
			return err
		}
		rejected, err := c.quarantine(ctx, events[upTo-len(batch):upTo], refused)
		if err != nil {
			return err
		}
		c.accountFor(ctx, refused, heads[upTo-len(batch):upTo])
		c.accept(events[upTo-1].ResourceVersion, heads[upTo-1], len(batch), rejected)
		return nil
	}
	packer := cloudwatch.NewPacker(0)
	for i := range records {
		full, unfit := packer.Add(records[i])
		if unfit != nil {
			full = packer.Flush()
		}
		if err := send(full, i); err != nil {
			return err
		}
		if unfit != nil {
			refused := []refusal{{count: 1, reason: reasonOfUnfit(unfit)}}
			rejected, err := c.quarantine(ctx, events[i:i+1], refused)
			if err != nil {
				return err
			}
			c.accountFor(ctx, refused, heads[i:i+1])
			c.accept(events[i].ResourceVersion, heads[i], 1, rejected)
		}
	}
	return send(packer.Flush(), len(records))
}

// reasonOfUnfit is why no batch takes a record.
func reasonOfUnfit(err error) string {
	if errors.Is(err, cloudwatch.ErrMessageSize) {
		return refusedTooLarge
	}
	return v1alpha1.ReasonRecordRejected
}

// chain builds the records of events, and the head of the chain after each.
func (c *courier) chain(ctx context.Context, events []recorded.Event, judgements []ledger.Judgement) ([]cloudwatch.Record, []ledger.Head, error) {
	records := make([]cloudwatch.Record, len(events))
	heads := make([]ledger.Head, len(events))
	head := c.at.head
	for i := range events {
		message, next, err := head.Record(ledger.Event{
			Name:      events[i].Name,
			Namespace: events[i].Namespace,
			ID:        events[i].Head.ID,
			Spec:      []byte(events[i].Spec),
		}, judgements[i])
		if err != nil {
			// The API server stores JSON only.
			log.FromContext(ctx).Error(err, "Delivering stops at an event that cannot be read", "event", events[i].String())
			return nil, nil, err
		}
		records[i] = cloudwatch.Record{Time: c.stamp(events[i].Head.Time.Time), Message: message}
		heads[i], head = next, next
	}
	return records, heads, nil
}

// stamp is the time under which a record is pushed, in milliseconds. A destination refuses what is too old or too far
// ahead: such a record gets the present, and its real time is in its event.
func (c *courier) stamp(recorded time.Time) int64 {
	const margin = time.Hour
	now := c.clock().Now()
	reason := ""
	switch age := now.Sub(recorded); {
	case age > cloudwatch.MaxAge-margin:
		reason = refusedTooOld
	case -age > cloudwatch.MaxAhead-margin:
		reason = refusedTooNew
	default:
		return recorded.UnixMilli()
	}
	c.delivery.Metrics.Restamped(c.key.Namespace, c.key.Name, reason, 1)
	return now.UnixMilli()
}

// accept moves the cursor past pushed records, some of which the destination refused for good, and takes their events
// from the queue.
func (c *courier) accept(version uint64, head ledger.Head, pushed, rejected int) {
	c.at.version = version
	c.at.head = head
	c.at.delivered += int64(pushed - rejected)
	c.at.rejected += int64(rejected)
	c.leave(pushed)
	if pushed > rejected {
		now := metav1.NewTime(c.clock().Now())
		c.at.last = &now
	}
}
