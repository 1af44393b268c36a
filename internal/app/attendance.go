package app

import (
	"sync"
	"time"
)

const (
	// attendEvery is how often a replica notes that it is there.
	attendEvery = time.Second
	// absence is how long it may not have noted that before it counts as having been away: less than the API server waits for
	// an answer.
	absence = 4 * time.Second
)

// attendance is since when this replica, and others until it was ready, have been there for all that the API server asked. A process that was frozen does not
// know it: what it believes of the time before is not to be trusted until it has looked at a clock.
type attendance struct {
	mu sync.Mutex
	// since is zero before the replica was ready, seen when it last noted that it is there.
	since, seen time.Time
	// frozen says that the replica was away after it had been ready.
	frozen bool
}

// note notes that the replica is there.
func (a *attendance) note(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.noteLocked(now)
}

func (a *attendance) noteLocked(now time.Time) {
	if a.since.IsZero() || now.Sub(a.seen) > absence {
		a.frozen = !a.since.IsZero()
		a.since = now
	}
	a.seen = now
}

// extend adds the time before this replica was ready, in which others were there.
func (a *attendance) extend(from time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.frozen && !a.since.IsZero() && from.Before(a.since) {
		a.since = from
	}
}

// coveredSince says that the replica was there from a moment until now.
func (a *attendance) coveredSince(moment, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.since.IsZero() {
		return false
	}
	a.noteLocked(now)
	return a.since.Before(moment)
}
