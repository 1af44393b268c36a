package delivery

import (
	"context"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/pause"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// Reasons of refusals, as metrics show them, beside v1alpha1.ReasonRecordRejected.
const (
	refusedTooLarge = "TooLarge"
	refusedTooOld   = "TooOld"
	refusedExpired  = "Expired"
	refusedTooNew   = "TooNew"
)

// refusal is a row of records of a batch that the destination did not take.
type refusal struct {
	first, count int
	reason       string
}

// byTime says that the records were refused for their times alone.
func (r refusal) byTime() bool {
	return r.reason == refusedTooOld || r.reason == refusedExpired || r.reason == refusedTooNew
}

// refusalsOf says which of n records CloudWatch Logs did not store.
func refusalsOf(result cloudwatch.PutResult, n int) []refusal {
	var refused []refusal
	for _, each := range []refusal{
		{0, result.TooOld, refusedTooOld},
		{result.TooOld, result.Expired, refusedExpired},
		{n - result.TooNew, result.TooNew, refusedTooNew},
	} {
		if each.count > 0 {
			refused = append(refused, each)
		}
	}
	return refused
}

// put pushes one batch until the destination has taken it, and returns which records it refused for good. Those that were
// refused for their times alone are put once more with the present as their time, which leaves only records that no time
// helps: a group may keep records for less long than delivery was away.
func (c *courier) put(ctx context.Context, records []cloudwatch.Record) ([]refusal, error) {
	refused, err := c.offer(ctx, records)
	if err != nil {
		return nil, err
	}
	var lost []refusal
	for _, each := range refused {
		if !each.byTime() {
			lost = append(lost, each)
			continue
		}
		still, err := c.restamp(ctx, records[each.first:each.first+each.count], each.reason)
		if err != nil {
			return nil, err
		}
		for _, one := range still {
			one.first += each.first
			lost = append(lost, one)
		}
	}
	return lost, nil
}

// restamp puts records with the present as their time.
func (c *courier) restamp(ctx context.Context, records []cloudwatch.Record, reason string) ([]refusal, error) {
	again := slices.Clone(records)
	now := c.clock().Now().UnixMilli()
	for i := range again {
		again[i].Time = now
	}
	c.delivery.Metrics.Restamped(c.key.Namespace, c.key.Name, reason, len(again))
	return c.offer(ctx, again)
}

// quarantine accounts for records that the destination refused for good: in metrics, in the log, and by a gap in the trail
// itself, which is recorded before the cursor passes them. It returns how many they are. events are those of the batch.
func (c *courier) quarantine(ctx context.Context, events []recorded.Event, refused []refusal) (rejected int, err error) {
	var missing gap
	for _, each := range refused {
		rejected += each.count
		c.delivery.Metrics.Rejected(c.key.Namespace, c.key.Name, each.reason, each.count)
		if !each.byTime() {
			c.delivery.Metrics.Quarantined(c.key.Namespace, c.key.Name, each.count)
		}
		for i := range each.count {
			event := &events[each.first+i]
			log.FromContext(ctx).Info("The destination refused a record for good", "event", event.String(), "reason", each.reason)
			missing.add(event, each.reason)
		}
	}
	if missing.count == 0 || c.delivery.Announce == nil {
		return rejected, nil
	}
	return rejected, c.announce(ctx, missing.of(c.trail.Load()))
}

// announce records a gap. It tries until the context ends: going back would push the batch again.
func (c *courier) announce(ctx context.Context, missing Gap) error {
	for retry := putBackoff(); ; {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
		err := c.delivery.Announce(bounded, missing)
		cancel()
		if err == nil {
			return nil
		}
		log.FromContext(ctx).Error(err, "Cannot record a gap in what was delivered, will try again")
		pause.For(ctx, retry.Step())
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
