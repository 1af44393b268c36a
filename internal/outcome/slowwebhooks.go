package outcome

import (
	"sync"
	"time"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

const (
	// slowBefore and slowFor are for how long before and after a change that was made late other webhooks count as slow.
	slowBefore = time.Minute
	slowFor    = 10 * time.Minute
)

// SlowWebhooks remembers when other webhooks were seen to be slow. While they are not, requests that met each other are told apart by
// fractions of a second; while they are, by how long they may take. The zero value has seen nothing.
type SlowWebhooks struct {
	mu       sync.Mutex
	from, to time.Time
}

// Note notes an event whose change seemed refused at first, and was found made later, unless that was the API server's doing. It says whether
// it had not been known.
func (s *SlowWebhooks) Note(event *recorded.Event, before, after *Verdict) (learned bool) {
	if before.Judgement != notPersisted || after.Outcome != v1alpha1.OutcomePersisted || !showsLater(event, before.seen, after.seen) ||
		event.MayBeKept == 0 || event.Late || event.Unwatched || !event.HeldUntil.IsZero() || event.Slow > race {
		return false
	}
	at := event.Head.Time.Time
	if s.at(at) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if from := at.Add(-slowBefore); from.After(s.to) || s.from.IsZero() {
		s.from = from
	}
	s.to = later(s.to, at.Add(slowFor))
	return true
}

// showsLater says that the object itself did not show the change at first, and does now. That other events tell more by then says nothing.
func showsLater(event *recorded.Event, before, after *objects.Sight) bool {
	if before == nil || after == nil || !after.Exists {
		return false
	}
	return event.Head.Action == v1alpha1.ActionUpdate && before.Exists || creates(&event.Head) && !before.Exists
}

func (s *SlowWebhooks) at(moment time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return moment.After(s.from) && moment.Before(s.to)
}
