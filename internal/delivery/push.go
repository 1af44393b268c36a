package delivery

import (
	"context"
	"errors"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

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
