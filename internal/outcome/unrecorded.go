package outcome

import (
	"slices"
	"time"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// fate is what became of an event's change by what is known of its object. That the object shows the change does not tell whose it was
// where somebody may have done the same since, while nobody recorded. Then only the version that followed the event's own tells, or what
// shows the change from before that.
func (j *Judge) fate(event *recorded.Event, known *history) fate {
	judged := known.fate(event)
	if judged != made || event.Head.Action == v1alpha1.ActionCreate || known.isTracked(event) {
		return judged
	}
	gap := j.Unrecorded(&event.Head.Resource, event.Head.Time.Time)
	if gap.IsZero() || known.isShownBefore(gap, event) {
		return judged
	}
	return unsure
}

// isShownBefore says that an event, or when the object was written, shows the change from before a moment.
func (h *history) isShownBefore(moment time.Time, event *recorded.Event) bool {
	for _, newer := range h.after(baseOf(event)) {
		if slices.ContainsFunc(h.byBase[newer.number], func(other *recorded.Event) bool {
			return other.Head.Time.Time.Before(moment) && h.showsChange(event, other)
		}) {
			return true
		}
	}
	if h.live == nil || !h.live.Exists {
		return false
	}
	meta := &h.live.Meta
	done := meta.Written
	if event.Head.Action == v1alpha1.ActionDelete && meta.DeletionTimestamp != nil {
		done = (&footprint{Sight: *h.live}).deletionAsked()
	}
	return !done.IsZero() && done.Add(time.Second).Before(moment) // It is exact to the second.
}

// showsChange says that another event's object was as the event would have left it.
func (h *history) showsChange(event, later *recorded.Event) bool {
	if event.Head.Action == v1alpha1.ActionDelete {
		return later.Head.Resource.DeletionTime != nil
	}
	sighting, shown := sightLater(h.digester, event, later)
	return shown && sighting == audit.SawAfter && sameForm(&event.Head.Resource, &later.Head.Resource)
}
