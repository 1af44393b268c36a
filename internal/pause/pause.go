package pause

import (
	"context"
	"time"
)

// For waits, or until the context ends.
func For(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
