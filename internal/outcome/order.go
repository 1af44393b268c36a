package outcome

import (
	"cmp"
	"slices"
	"time"

	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// straggling is how long before others an event may have been made that were stored before it. One that was made earlier
// was stored long after its change was admitted, so its version says nothing of when that was.
const straggling = time.Second

// inOrder sorts events by when they were stored, and marks the stragglers.
func inOrder(events []*recorded.Event) {
	slices.SortStableFunc(events, func(a, b *recorded.Event) int { return cmp.Compare(a.ResourceVersion, b.ResourceVersion) })
	var latest time.Time
	for _, event := range events {
		at := event.Head.Time.Time
		event.Straggler = event.Late || event.Moved || latest.Sub(at) > straggling
		if at.After(latest) && !event.Late {
			latest = at
		}
	}
}

// together are the events of both lists.
func together(events, others []recorded.Event) []*recorded.Event {
	all := make([]*recorded.Event, 0, len(events)+len(others))
	for _, list := range [][]recorded.Event{events, others} {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	return all
}

// sharesCounter says that the object's versions can be compared with those of events. Both are revisions of etcd, if the
// API server keeps them in the same one. What shows it is a version of the object between those of two of its events; an
// event that is older than the version that it is based on disproves it.
func (h *history) sharesCounter() bool {
	first := uint64(0)
	for base, events := range h.byBase {
		for _, event := range events {
			switch {
			case event.Straggler:
			case event.ResourceVersion <= base:
				return false
			case first == 0 || event.ResourceVersion < first:
				first = event.ResourceVersion
			}
		}
	}
	return first > 0 && len(h.after(first)) > 0
}

// isStale says that the version that the event is based on had been replaced before the event was stored. Storing it comes
// before the change, so its change would have replaced another one.
func (h *history) isStale(event *recorded.Event) bool {
	if !h.ordered || event.Straggler || isEviction(event) || isCompletion(event) {
		return false
	}
	base := baseOf(event)
	next, replaced := h.next(base)
	if _, known := h.track.at(base); known && !replaced && h.track.removed != 0 {
		next, replaced = version{number: h.track.removed}, true
	}
	return replaced && base != 0 && next.number < event.ResourceVersion
}

// revisions tell when etcd's revisions were made, as far as events show: one of a higher revision than an event's was made after the
// event's request came.
type revisions []revision

// revision is an event's, with the latest moment at which it or one of a lower revision was admitted.
type revision struct {
	number uint64
	at     time.Time
}

// newRevisions takes events in the order in which they were stored.
func newRevisions(events []*recorded.Event) revisions {
	known := make(revisions, 0, len(events))
	var latest time.Time
	for _, event := range events {
		latest = later(latest, event.Head.Time.Time)
		known = append(known, revision{event.ResourceVersion, latest})
	}
	return known
}

// revisionsOf are what some events and others tell.
func revisionsOf(events, others []recorded.Event) revisions {
	all := together(events, others)
	slices.SortFunc(all, func(a, b *recorded.Event) int { return cmp.Compare(a.ResourceVersion, b.ResourceVersion) })
	return newRevisions(all)
}

// passedBy is a moment that had passed when a revision was made; zero when none is known.
func (r revisions) passedBy(number uint64) time.Time {
	at, _ := slices.BinarySearchFunc(r, number, func(known revision, number uint64) int { return cmp.Compare(known.number, number) })
	if at == 0 {
		return time.Time{}
	}
	return r[at-1].at
}

// has says that an event was stored at a revision.
func (r revisions) has(number uint64) bool {
	_, found := slices.BinarySearchFunc(r, number, func(known revision, number uint64) int { return cmp.Compare(known.number, number) })
	return found
}

// madeBy is a moment at which a revision had been made, but for how long storing takes; zero when none is known.
func (r revisions) madeBy(number uint64) time.Time {
	at, found := slices.BinarySearchFunc(r, number, func(known revision, number uint64) int { return cmp.Compare(known.number, number) })
	if found {
		at++
	}
	if at == len(r) {
		return time.Time{}
	}
	return r[at].at
}
