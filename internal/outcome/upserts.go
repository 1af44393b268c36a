package outcome

import (
	"slices"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// findUpserts marks updates whose request went on to create the object: the API server does that when somebody removed the
// object that was to be updated, or applied to.
func findUpserts(events []*recorded.Event) {
	creations := byName(events, func(event *recorded.Event) bool { return event.Head.Action == v1alpha1.ActionCreate })
	for _, event := range events {
		event.Upsert = event.Head.Action == v1alpha1.ActionUpdate &&
			slices.ContainsFunc(creations[objectName(event)], func(creation *recorded.Event) bool { return goesOn(event, creation) })
	}
}

// goesOn says that the creation may be the same request as the update, validated a moment later.
func goesOn(update, creation *recorded.Event) bool {
	apart := creation.Head.Time.Sub(update.Head.Time.Time)
	was, is := &update.Head.Resource, &creation.Head.Resource
	return apart >= 0 && apart <= retriedWithin && was.UID != is.UID && was.Group == is.Group && was.Resource == is.Resource &&
		was.Subresource == is.Subresource && update.Head.Actor.Username == creation.Head.Actor.Username
}
