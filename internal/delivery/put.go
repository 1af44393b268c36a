package delivery

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/fault"
	"github.com/trailkeeper/trailkeeper/internal/metrics"
	"github.com/trailkeeper/trailkeeper/internal/pause"
)

// openTimeout bounds the opening of a destination.
const openTimeout = 30 * time.Second

// offer pushes one batch until the destination has taken it, and returns which records it refused. It tries again without
// end, and fails only when the context ends or the cursor cannot be written.
func (c *courier) offer(ctx context.Context, records []cloudwatch.Record) ([]refusal, error) {
	retry := putBackoff()
	for {
		if err := c.hold(ctx); err != nil {
			return nil, err
		}
		c.quiet() // What changed up to here is known to the call below.
		// A call that was begun is finished: stopping in the middle would leave it open whether it arrived.
		calling, cancel := c.ending.call(ctx)
		result, err := c.tryPut(calling, records)
		cancel()
		if err == nil {
			c.report(State{})
			c.count(records, result)
			return refusalsOf(result, len(records)), nil
		}
		if c.ending.passed() {
			return nil, ctx.Err() // What is known of the destination is that it was not waited for.
		}
		class := cloudwatch.ClassOf(err)
		c.delivery.Metrics.Retried(c.key.Namespace, c.key.Name, class.String())
		if class == cloudwatch.ClassInvalid && (len(records) > 1 || c.takesOthers(ctx)) {
			return c.bisect(ctx, records, err)
		}
		c.report(State{Reason: reasonOf(err), Message: err.Error()})
		if err := c.commitIfDue(ctx); err != nil {
			return nil, err
		}
		if c.overflows() {
			return nil, errOverflow
		}
		c.repair(ctx, class)
		if c.pause(ctx, class, retry.Step()) {
			retry = putBackoff()
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// pause waits before the next try. Somebody had to do something about an error of ClassAuth: it ends, and is true, as soon
// as something changed.
func (c *courier) pause(ctx context.Context, class cloudwatch.Class, longest time.Duration) (changed bool) {
	if class != cloudwatch.ClassAuth {
		pause.For(ctx, longest)
		return false
	}
	timer := c.clock().NewTimer(longest)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C():
	case <-c.changed:
		return true
	}
	return false
}

// wake ends a pause of the courier.
func (c *courier) wake() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// quiet forgets what changed before.
func (c *courier) quiet() {
	select {
	case <-c.changed:
	default:
	}
}

// hold returns when the trail is not suspended. It may have been suspended in the middle of a backlog, or while the
// destination was away.
func (c *courier) hold(ctx context.Context) error {
	for c.paused() {
		if err := c.commitIfDue(ctx); err != nil {
			return err
		}
		pause.For(ctx, c.delivery.Linger)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (c *courier) count(records []cloudwatch.Record, result cloudwatch.PutResult) {
	sent := metrics.Batch{Records: result.Accepted, BodyBytes: result.BodyBytes, WireBytes: result.WireBytes}
	for i := range records {
		sent.Fill += float64(records[i].Size()) / cloudwatch.MaxBatchBytes
		if i >= result.First() && i < result.First()+result.Accepted {
			sent.Bytes += len(records[i].Message)
		}
	}
	c.delivery.Metrics.Accepted(c.key.Namespace, c.key.Name, sent)
}

// reasonOf is the reason that a condition shows for an error.
func reasonOf(err error) string {
	if reason := fault.ReasonOf(err); reason != "" {
		return reason
	}
	return v1alpha1.ReasonAWSError
}

// putBackoff is the pause between tries against the destination: 0.2 s growing to 30 s, with jitter.
func putBackoff() *wait.Backoff {
	return &wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 9, Cap: 30 * time.Second}
}

func (c *courier) tryPut(ctx context.Context, records []cloudwatch.Record) (cloudwatch.PutResult, error) {
	sink, err := c.open(ctx)
	if err != nil {
		return cloudwatch.PutResult{}, err
	}
	return sink.Put(ctx, records)
}

// open bounds what opening reads: the Secret, and what STS says.
func (c *courier) open(ctx context.Context) (Sink, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	return c.delivery.Open(ctx, c.trail.Load())
}

// repair does what may help before the next try.
func (c *courier) repair(ctx context.Context, class cloudwatch.Class) {
	switch class {
	case cloudwatch.ClassNotFound:
		sink, err := c.open(ctx)
		if err == nil {
			_, err = sink.Ensure(ctx)
		}
		if err != nil {
			log.FromContext(ctx).Info("The destination could not be made again", "error", err.Error())
		}
	case cloudwatch.ClassAuth:
		// The Secret may hold new keys by now.
		c.delivery.Forget(c.trail.Load())
	default:
	}
}

// takesOthers tells a record that is refused from a destination that refuses all of them, with one that is accepted and not
// stored. Nothing is given up for a mistake that somebody may mend.
func (c *courier) takesOthers(ctx context.Context) bool {
	_, err := c.tryPut(context.WithoutCancel(ctx), []cloudwatch.Record{cloudwatch.Probe(c.clock().Now())})
	return err == nil
}

// bisect finds the records that the destination does not take, and pushes all others.
func (c *courier) bisect(ctx context.Context, records []cloudwatch.Record, cause error) ([]refusal, error) {
	if len(records) == 1 {
		c.report(State{Reason: v1alpha1.ReasonRecordRejected, Message: cause.Error()})
		return []refusal{{count: 1, reason: v1alpha1.ReasonRecordRejected}}, nil
	}
	middle := len(records) / 2
	refused, err := c.offer(ctx, records[:middle])
	if err != nil {
		return nil, err
	}
	others, err := c.offer(ctx, records[middle:])
	for _, each := range others {
		each.first += middle
		refused = append(refused, each)
	}
	return refused, err
}

// report makes the state known at the next commit, and at once when it changes.
func (c *courier) report(state State) {
	c.failed(state.Reason != "")
	if c.state != state {
		c.state = state
		c.commitAt = time.Time{}
	}
}
