package delivery

import "time"

const (
	// slowBefore and slowAfter are how long before and after an event others tell how slow the API server was for its request. What came
	// sooner was stored when it came.
	slowBefore = straggling
	slowAfter  = 5 * time.Second
	// storings is how many times as long as storing an event the request may take that the event is of: it is validated by others,
	// and stored itself.
	storings = 2
)

// noteSlowness gives each event how long it took to store events at that time, as far as they tell: one that was stored after
// others were made and stored took as long as they are younger. events are in the order in which they were stored.
func noteSlowness(events []*Event) {
	before, after := slowness{within: slowBefore}, slowness{within: slowAfter}
	var latest time.Time
	for _, event := range events {
		at := event.Head.Time.Time
		if !event.Late {
			before.note(at, min(latest.Sub(at), straggling))
		}
		if at.After(latest) && !event.Late {
			latest = at
		}
		event.Slow = before.at(at)
	}
	var earliest time.Time
	for i := len(events) - 1; i >= 0; i-- {
		event := events[i]
		at := event.Head.Time.Time
		if !event.Late {
			if !earliest.IsZero() {
				after.note(at, min(at.Sub(earliest), straggling))
			}
			if earliest.IsZero() || at.Before(earliest) {
				earliest = at
			}
		}
		event.Slow = max(event.Slow, after.at(at))
	}
}

// slowness is the most that storing took lately.
type slowness struct {
	within time.Duration
	most   time.Duration
	when   time.Time
}

func (s *slowness) note(at time.Time, took time.Duration) {
	if took > 0 && took >= s.at(at) {
		s.most, s.when = took, at
	}
}

func (s *slowness) at(moment time.Time) time.Duration {
	if moment.Sub(s.when).Abs() > s.within {
		return 0
	}
	return s.most
}

// stretched is a duration that was measured on an API server that answers at once, for the time of the events.
func stretched(d time.Duration, events ...*Event) time.Duration {
	var slow time.Duration
	for _, event := range events {
		slow = max(slow, event.Slow)
	}
	return d + storings*slow
}
