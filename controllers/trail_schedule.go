package controllers

import (
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

const (
	// checkInterval is how often a healthy trail is verified; ±20 % so that trails do not march in step.
	checkInterval = 15 * time.Minute
	checkJitter   = 0.2

	// A failing trail is looked at often while somebody is likely to be at it, then less and less.
	firstRetry    = 10 * time.Second
	firstRetryFor = 2 * time.Minute
	slowestRetry  = 15 * time.Minute

	// Recording follows within seconds; past the beginning the pause stays below what users notice.
	firstPoll   = 500 * time.Millisecond
	slowestPoll = 30 * time.Second
	// verifiedFor is how long AWS is not asked again meanwhile.
	verifiedFor = time.Minute
)

// checkSchedule remembers since when trails fail. The zero value is ready to use. It holds one entry for each failing
// trail; entries go when the trail succeeds or is gone.
type checkSchedule struct {
	// spread keeps pauses of many trails from being the same; nil is jittered. Tests count calls without it.
	spread func(time.Duration) time.Duration

	mu      sync.Mutex
	failing map[types.NamespacedName]failure
}

type failure struct {
	since      time.Time
	generation int64
	reason     string
	// verified says that AWS was in order, and only something in the cluster is waited for.
	verified bool
}

// succeeded forgets the trail's failures and says when to verify again.
func (s *checkSchedule) succeeded(trail types.NamespacedName) time.Duration {
	s.forget(trail)
	return s.spreadOut(checkInterval)
}

// failed says when to try again. A changed spec or another reason begins anew.
func (s *checkSchedule) failed(trail types.NamespacedName, generation int64, now time.Time, err error) time.Duration {
	reason := fault.ReasonOf(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.failing[trail]
	if !ok || last.generation != generation || last.reason != reason {
		last = failure{since: now, generation: generation, reason: reason}
		if s.failing == nil {
			s.failing = map[types.NamespacedName]failure{}
		}
		s.failing[trail] = last
	}
	return s.retryAfter(reason, now.Sub(last.since))
}

// verified remembers that AWS has nothing to do with what the trail waits for.
func (s *checkSchedule) verified(trail types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.failing[trail]; ok {
		last.verified = true
		s.failing[trail] = last
	}
}

// wasVerified says whether AWS was in order when the trail was last tried, not long ago.
func (s *checkSchedule) wasVerified(trail types.NamespacedName, generation int64, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.failing[trail]
	return ok && last.verified && last.generation == generation && now.Sub(last.since) < verifiedFor
}

// unreachable says whether AWS did not answer the trail when it was last tried.
func (s *checkSchedule) unreachable(trail types.NamespacedName) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failing[trail].reason == v1alpha1.ReasonUnreachable
}

func (s *checkSchedule) spreadOut(d time.Duration) time.Duration {
	if s.spread != nil {
		return s.spread(d)
	}
	return jittered(d)
}

func (s *checkSchedule) forget(trail types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.failing, trail)
}

// retryAfter is the pause after a trail has been failing for some time. It grows with that time, so that the number of
// tries grows with its logarithm.
func (s *checkSchedule) retryAfter(reason string, failingFor time.Duration) time.Duration {
	switch {
	case reason == v1alpha1.ReasonWebhookPending:
		return min(max(failingFor/2, firstPoll), slowestPoll)
	case failingFor < firstRetryFor:
		return firstRetry
	default:
		return s.spreadOut(min(failingFor/2, time.Duration(float64(slowestRetry)/(1+checkJitter))))
	}
}

func jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 - checkJitter + 2*checkJitter*rand.Float64())) //nolint:gosec // Spreading load needs no secrecy.
}
