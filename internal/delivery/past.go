package delivery

import (
	"time"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// pastFor is how much older than the newest a judged event may be to count for those that follow: more than two requests
	// for one object can be apart and still be in each other's way.
	pastFor = 10 * time.Second
	// maxPast bounds how many judged events are remembered.
	maxPast = 1500
)

// past are events that were judged lately, with their outcomes, the oldest first. Without them the second of two requests
// of which only one was made would be judged as if it had been alone.
type past struct {
	events []Event
	newest time.Time
	// forgotten is the latest moment of which an event was forgotten because of its age.
	forgotten time.Time
}

// add remembers events that were judged, and forgets what is much older than the newest: by how much events come late, and pastFor. Of
// most of them the spec is not needed any more.
func (p *past) add(events []Event, late time.Duration) {
	for _, event := range events {
		if event.Head.Action != v1alpha1.ActionDelete {
			event.Spec = nil
		}
		if event.Head.Time.After(p.newest) {
			p.newest = event.Head.Time.Time
		}
		p.events = append(p.events, event)
	}
	old := max(0, len(p.events)-maxPast)
	for old < len(p.events) && p.newest.Sub(p.events[old].Head.Time.Time) > pastFor+late {
		p.forgotten = later(p.forgotten, p.events[old].Head.Time.Time)
		old++
	}
	p.events = p.events[old:] // What is left is moved when there is no room for more, and not for each one that is added.
}

// addDelivered remembers an event that was delivered before this replica delivered anything. What has no outcome then was
// made: no other outcome is left out. late is by how much events may have come late then.
func (p *past) addDelivered(event Event, late time.Duration) {
	if event.Status.Outcome == "" && applies(&event.Head) {
		event.Status.Outcome = v1alpha1.OutcomePersisted
	}
	p.add([]Event{event}, late)
}
