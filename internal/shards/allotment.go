package shards

import (
	"sync"
	"time"
)

// allotment counts the shards that this replica holds.
type allotment struct {
	// patience is for how long it may hold more than its share: replicas come and go.
	patience time.Duration

	mu   sync.Mutex
	held map[int]bool
	// over is since when it holds more; zero while it does not.
	over time.Time
	// extra are the shards beyond a share that nobody else took, and that this replica keeps while its share is the same.
	extra, extraShare int
}

// admit counts one more shard, unless as many as the share are held. An abandoned shard is one that those who have less
// have left alone for long.
func (a *allotment) admit(shard, share int, abandoned bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case len(a.held) < share:
	case share > 0 && abandoned:
		a.extra, a.extraShare = len(a.held)+1-share, share
	default:
		return false
	}
	a.held[shard] = true
	return true
}

func (a *allotment) drop(shard int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.held, shard)
}

// surplus says that this shard is to be given up: more than the share have been held for long, and it is the last of them.
// So one is given up after the other, and no trail waits for more than its own.
func (a *allotment) surplus(shard, share int, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if share != a.extraShare {
		a.extra = 0
	}
	if share == 0 || len(a.held) <= share+a.extra {
		a.over = time.Time{}
		return false
	}
	if a.over.IsZero() {
		a.over = now
	}
	for other := range a.held {
		if other > shard {
			return false
		}
	}
	return now.Sub(a.over) >= a.patience
}
