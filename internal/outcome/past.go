package outcome

import (
	"time"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

const (
	// pastFor is how much older than the newest a judged event may be to count for those that follow: more than two requests
	// for one object can be apart and still be in each other's way.
	pastFor = 10 * time.Second
	// maxPast bounds how many judged events are remembered.
	maxPast = 1500
)

// Past are events that were judged lately, with their outcomes, the oldest first. Without them the second of two requests
// of which only one was made would be judged as if it had been alone.
type Past struct {
	Events []recorded.Event
	newest time.Time
	// Forgotten is the latest moment of which an event was forgotten because of its age.
	Forgotten time.Time
}

// Add remembers events that were judged, and forgets what is much older than the newest: by how much events come late, and pastFor. Of
// most of them the spec is not needed any more.
func (p *Past) Add(events []recorded.Event, late time.Duration) {
	for _, event := range events {
		if event.Head.Action != v1alpha1.ActionDelete {
			event.Spec = nil
		}
		if event.Head.Time.After(p.newest) {
			p.newest = event.Head.Time.Time
		}
		p.Events = append(p.Events, event)
	}
	old := max(0, len(p.Events)-maxPast)
	for old < len(p.Events) && p.newest.Sub(p.Events[old].Head.Time.Time) > pastFor+late {
		p.Forgotten = later(p.Forgotten, p.Events[old].Head.Time.Time)
		old++
	}
	p.Events = p.Events[old:] // What is left is moved when there is no room for more, and not for each one that is added.
}

// AddDelivered remembers an event that was delivered before this replica delivered anything. What has no outcome then was
// made: no other outcome is left out. late is by how much events may have come late then.
func (p *Past) AddDelivered(event recorded.Event, late time.Duration) {
	if event.Status.Outcome == "" && applies(&event.Head) {
		event.Status.Outcome = v1alpha1.OutcomePersisted
	}
	p.Add([]recorded.Event{event}, late)
}
