package outcome

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// fate is whether a change was made.
type fate int

const (
	unsure fate = iota
	made
	notMade
	// contest is when one of several changes was made, and nobody can tell which.
	contest
)

// history is what is known of one object: events, each of which shows the version that it was based on, and perhaps the
// object as it was read.
//
// Everything follows from two facts. A write replaces the version that it was validated against, so of the events that
// are based on one version at most one was made, and one that was recorded after that version had been replaced was not.
// (Evictions and the removal of the last finalizer are none: the API server
// then deletes the object whatever its version is.) And a deletion is never taken back, so a version that is not being deleted shows
// that no earlier one was deleted.
type history struct {
	digester audit.Digester
	// byBase are the events that are based on a version; those of 0 are creations, and what names no version.
	byBase map[uint64][]*recorded.Event
	// completions are those that end a deletion, whatever version they are based on.
	completions []*recorded.Event
	// evictions delete the object, whatever version they are based on.
	evictions []*recorded.Event
	// namesakes are the evictions of what had the object's name, whichever pod they name.
	namesakes []*recorded.Event
	// versions are those that are known, the oldest first.
	versions []version
	// live is what a read showed; nil when there was none.
	live *objects.Sight
	// revisions tell when etcd's revisions were made.
	revisions revisions
	// track is each version that the object had since one that an event is based on; nil when nobody looked.
	track *track
	// ordered says that versions of the object and of events come from one counter.
	ordered bool
	// complete says that everything that was done to the object was recorded: only then that it is gone speaks for a change.
	complete bool
}

// Version is one version of the object.
type version struct {
	number uint64
	// deletion is when the object is to be deleted, if its deletion was asked for.
	deletion *metav1.Time
	// partial says that only a part of the object was seen, which does not show that.
	partial bool
}

// isAlive says that the version shows that nobody had asked for the object's deletion.
func (v *version) isAlive() bool { return v.deletion == nil && !v.partial }

// newHistory orders what events of one object show.
func newHistory(digester audit.Digester, events []*recorded.Event) *history {
	h := &history{digester: digester, byBase: map[uint64][]*recorded.Event{}}
	for _, event := range events {
		base := baseOf(event)
		if isCompletion(event) {
			h.completions = append(h.completions, event)
		}
		if isEviction(event) {
			h.evictions = append(h.evictions, event)
		}
		h.byBase[base] = append(h.byBase[base], event)
		if base != 0 {
			resource := &event.Head.Resource
			h.versions = append(h.versions, version{base, resource.DeletionTime, resource.Subresource == "scale"})
		}
	}
	h.sort()
	h.ordered = h.sharesCounter()
	return h
}

// with is the history together with what a read showed: seen is the object of that name, perhaps another one. complete
// says that there is an event for all that was done to it.
func (h *history) with(seen objects.Sight, uid string, complete bool) *history {
	if seen.Exists && string(seen.Meta.UID) != uid {
		seen = objects.Sight{}
	}
	full := &history{digester: h.digester, byBase: h.byBase, completions: h.completions, evictions: h.evictions, namesakes: h.namesakes,
		versions: slices.Clone(h.versions), live: &seen, complete: complete, track: h.track, revisions: h.revisions,
	}
	if number, err := apijson.ParseVersion(seen.Meta.ResourceVersion); err == nil {
		full.versions = append(full.versions, version{number, seen.Meta.DeletionTimestamp, false})
	}
	full.sort()
	full.ordered = full.sharesCounter()
	return full
}

func (h *history) sort() {
	// Those that show the whole object come first, and remain.
	slices.SortFunc(h.versions, func(a, b version) int {
		return cmp.Or(cmp.Compare(a.number, b.number), rank(a)-rank(b))
	})
	h.versions = slices.CompactFunc(h.versions, func(a, b version) bool { return a.number == b.number })
}

// rank is lower for what shows more.
func rank(v version) int {
	if v.partial {
		return 1
	}
	return 0
}

// baseOf is the version that the event's change would replace; 0 for a creation.
func baseOf(event *recorded.Event) uint64 {
	base, err := apijson.ParseVersion(event.Head.Resource.ResourceVersion)
	if err != nil || event.Head.Action == v1alpha1.ActionCreate {
		return 0
	}
	return base
}

// after are the known versions that are newer than the number.
func (h *history) after(number uint64) []version {
	at, found := slices.BinarySearchFunc(h.versions, number, func(v version, number uint64) int { return cmp.Compare(v.number, number) })
	if found {
		at++
	}
	return h.versions[at:]
}

// next is the oldest known version that is newer than the number.
func (h *history) next(number uint64) (version, bool) {
	newer := h.after(number)
	if len(newer) == 0 {
		return version{}, false
	}
	return newer[0], true
}

// hasPassed says that the object was seen at a newer version, by other events or by what was read.
func (h *history) hasPassed(number uint64, seen *objects.Sight) bool {
	if number == 0 {
		return false
	}
	_, replaced := h.next(number)
	if seen != nil {
		read, err := apijson.ParseVersion(seen.Meta.ResourceVersion)
		replaced = replaced || err == nil && read > number
	}
	return replaced
}

// isGone says that the object was read for, and is not there.
func (h *history) isGone() bool { return h.complete && h.live != nil && !h.live.Exists }

// isAt says that the object was read, and still is what it was at this version.
func (h *history) isAt(number uint64) bool {
	return h.live != nil && h.live.Exists && h.live.Meta.ResourceVersion == apijson.FormatVersion(number)
}

// isCompletion says that the event is of the removal of the last finalizer of an object that was being deleted.
func isCompletion(event *recorded.Event) bool {
	return event.Head.Action == v1alpha1.ActionDelete && len(event.Head.Evidence) > 0
}

func isEviction(event *recorded.Event) bool {
	return event.Head.Action == v1alpha1.ActionDelete && event.Head.Resource.Subresource == "eviction"
}

// asksForDeletion says that the event is of the first request for the object's deletion.
func asksForDeletion(event *recorded.Event) bool {
	return event.Head.Action == v1alpha1.ActionDelete && event.Head.Resource.DeletionTime == nil
}
