package delivery

import (
	"slices"
	"time"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// pastFor is how long a judged event counts for those that follow: longer than two requests for one object can be
	// apart and still be in each other's way.
	pastFor = 10 * time.Second
	// maxPast bounds how many judged events are remembered.
	maxPast = window
)

// past are events that were judged lately, with their outcomes, the oldest first. Without them the second of two requests
// of which only one was made would be judged as if it had been alone.
type past struct{ events []Event }

// add remembers events that were judged. Of most of them the spec is not needed any more.
func (p *past) add(events []Event, now time.Time) {
	old := max(0, len(p.events)+len(events)-maxPast)
	for old < len(p.events) && now.Sub(p.events[old].Seen) > pastFor {
		old++
	}
	p.events = slices.Delete(p.events, 0, min(old, len(p.events)))
	for _, event := range events {
		if event.Head.Action != v1alpha1.ActionDelete {
			event.Spec = nil
		}
		p.events = append(p.events, event)
	}
}
