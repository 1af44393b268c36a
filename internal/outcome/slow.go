package outcome

import (
	"time"

	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

const (
	// slowAround is how long before it began and after it ended a time in which the API server was slow counts: a request of before may
	// have been under way.
	slowAround = unversioned
	// storings is how many times as long as storing an event the request may take that the event is of: it is validated by others,
	// and stored itself.
	storings = 2
)

// noteSlowness gives each event how long it took to store events at that time, as far as they tell: one that was stored after
// others were made and stored took as long as they are younger. events are in the order in which they were stored.
func noteSlowness(events []*recorded.Event) {
	var before, after slowness
	var all []slowness
	var latest time.Time
	for _, event := range events {
		at := event.Head.Time.Time
		if !event.Late {
			all = before.note(at, latest, all)
			latest = later(latest, at)
		}
		event.Slow = before.at(at)
	}
	var earliest time.Time
	for i := len(events) - 1; i >= 0; i-- {
		event := events[i]
		at := event.Head.Time.Time
		if !event.Late {
			if !earliest.IsZero() {
				all = after.note(earliest, at, all)
			}
			if earliest.IsZero() || at.Before(earliest) {
				earliest = at
			}
		}
		event.Slow = max(event.Slow, after.at(at))
	}
	noteSlownessAgain(events, all)
}

// noteSlownessAgain gives each event that the API server may have made wait how slow it was after that: how long it stored nothing is
// reckoned with already.
func noteSlownessAgain(events []*recorded.Event, all []slowness) {
	for _, event := range events {
		event.SlowAgain = 0
		if event.HeldUntil.IsZero() {
			continue
		}
		for i := range all {
			event.SlowAgain = max(event.SlowAgain, all[i].at(event.HeldUntil))
		}
	}
}

// slowness is the most that storing took lately, and when that was.
type slowness struct {
	most     time.Duration
	from, to time.Time
}

// note appends what it is told of to all, unless nothing took long.
func (s *slowness) note(from, to time.Time, all []slowness) []slowness {
	noted := slowness{min(to.Sub(from), straggling), from, to}
	if noted.most <= 0 {
		return all
	}
	if noted.most >= s.at(from) {
		*s = noted
	}
	return append(all, noted)
}

func (s *slowness) at(moment time.Time) time.Duration {
	if moment.Before(s.from.Add(-slowAround)) || moment.After(s.to.Add(slowAround)) {
		return 0
	}
	return s.most
}
