package spill

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const (
	// writeTimeout bounds one write of a replayed record.
	writeTimeout = 10 * time.Second
	// flushTimeout bounds the last replay at stop. It is less than the 30 s that a manager, and a pod, are given.
	flushTimeout = 10 * time.Second

	// A burst of changes is over when none has come for replayQuiet. Its replay, which would compete with it for the API
	// server, waits until then, but no longer than replayHold.
	replayQuiet = 100 * time.Millisecond
	replayHold  = 5 * time.Second

	replayFirstDelay = 500 * time.Millisecond
	replayMaxDelay   = 30 * time.Second
)

// Writer writes a replayed record to where it belongs. A record that is there already is a success. A record that
// can never be written must be accounted for by the writer, which then returns nil: an error keeps the record, and
// all after it, waiting.
type Writer interface {
	Write(ctx context.Context, record Record) error
}

// Replayer replays a store whenever it has something, for as long as it runs. It is a Runnable of the manager, on
// every replica.
type Replayer struct {
	store  *Store
	writer Writer
}

// NewReplayer returns a Replayer of store into writer.
func NewReplayer(store *Store, writer Writer) *Replayer {
	return &Replayer{store: store, writer: writer}
}

// NeedLeaderElection is false: the file is this replica's own.
func (r *Replayer) NeedLeaderElection() bool { return false }

// Start replays what the last run left, then what is appended, until ctx ends; then it tries once more within its
// own budget. Errors are logged, and retried with a growing, jittered delay; new appends do not shorten it.
func (r *Replayer) Start(ctx context.Context) error {
	logger := log.FromContext(ctx).WithName("spill")
	delays := firstDelays()
	for ctx.Err() == nil {
		wake := r.store.appended
		var retry <-chan time.Time
		if err := r.replay(ctx); err != nil && ctx.Err() == nil {
			delay := delays.Step()
			logger.Error(err, "Replaying spilled events failed, will retry", "waiting", r.store.Len(), "delay", delay.String())
			wake, retry = nil, time.After(delay)
		} else {
			delays = firstDelays()
		}
		select {
		case <-wake:
			r.letBurstPass(ctx)
		case <-retry:
		case <-ctx.Done():
		}
	}
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if err := r.Flush(flush); err != nil {
		logger.Error(err, "Stopping with spilled events that are not replayed, the next start replays them", "waiting", r.store.Len())
	}
	return nil
}

// letBurstPass looks when the last append was rather than being told of each, which would be work on the admission path.
func (r *Replayer) letBurstPass(ctx context.Context) {
	held := time.Now().Add(replayHold)
	for ctx.Err() == nil {
		left := min(replayQuiet-r.store.quietFor(), time.Until(held))
		if left <= 0 {
			return
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// Flush replays once, within ctx. The manager stops its other Runnables before its webhook server, so whoever stops
// the manager calls Flush again after that, for the events of the last requests.
func (r *Replayer) Flush(ctx context.Context) error {
	if err := r.replay(ctx); err != nil {
		return fmt.Errorf("flushing the spill store: %w", err)
	}
	return nil
}

func (r *Replayer) replay(ctx context.Context) error {
	return r.store.Replay(ctx, func(ctx context.Context, record Record) error {
		ctx, cancel := context.WithTimeout(ctx, writeTimeout)
		defer cancel()
		return r.writer.Write(ctx, record)
	})
}

func firstDelays() wait.Backoff {
	return wait.Backoff{Duration: replayFirstDelay, Factor: 2, Jitter: 0.2, Steps: 16, Cap: replayMaxDelay}
}
