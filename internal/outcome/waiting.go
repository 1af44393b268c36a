package outcome

import (
	"time"

	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// reckonWaiting gives each event what is known of standstills and of other webhooks at its time. How slow the API server was is for
// noteSlowness to tell.
func (j *Judge) reckonWaiting(events []*recorded.Event) {
	for _, event := range events {
		at := event.Head.Time.Time
		event.Waiting = recorded.Waiting{
			HeldUntil: j.StalledUntil(at),
			Unwatched: !j.StallsKnown(at),
			MayBeKept: j.MayBeKept(&event.Head.Resource, event.Head.Action),
		}
		if j.SlowWebhooks.at(at) {
			event.Kept = event.MayBeKept
		}
	}
}

// ended is a moment by which the event's request has ended.
func ended(event *recorded.Event) time.Time {
	return event.Begun().Add(stretched(event.MayBeKept+unversioned, event))
}

// madeBy is a moment by which an event's change is made, if it ever is and nothing else holds it up: so long after it, or as other webhooks
// that were seen to be slow may keep it.
func madeBy(event *recorded.Event, within time.Duration) time.Time {
	return event.Begun().Add(stretched(event.Kept+within, event))
}

// stretched is a duration that was measured on an API server that answers at once, for the time of the events.
func stretched(d time.Duration, events ...*recorded.Event) time.Duration {
	var slow time.Duration
	for _, event := range events {
		slow = max(slow, event.Slow)
	}
	return d + storings*slow
}
