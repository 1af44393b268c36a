package delivery

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/trailkeeper/trailkeeper/internal/pause"
)

// finish is how long what was begun may go on after the courier was told to stop. The courier's shard is not handed over
// before, so that one destination that does not answer must not hold up the others for longer.
const finish = 10 * time.Second

// ending is when a courier has to give up what it is doing.
type ending struct {
	// deadline is nil until the courier is told to stop.
	deadline atomic.Pointer[time.Time]
}

// follow sets the deadline when the context ends. What it returns ends the following.
func (e *ending) follow(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		deadline := time.Now().Add(finish)
		e.deadline.Store(&deadline)
	})
}

// passed says that nothing more may be begun.
func (e *ending) passed() bool {
	deadline := e.deadline.Load()
	return deadline != nil && !time.Now().Before(*deadline)
}

// call returns a context for a call that goes on when ctx ends in its middle, until the deadline. The caller cancels it.
func (e *ending) call(ctx context.Context) (context.Context, context.CancelFunc) {
	calling, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := context.AfterFunc(ctx, func() {
		left := finish
		if deadline := e.deadline.Load(); deadline != nil {
			left = time.Until(*deadline)
		}
		pause.For(calling, left)
		cancel()
	})
	return calling, func() { ended(); cancel() }
}
