package delivery

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
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

const (
	// race is how far apart two requests may have come that were both based on the version that only one of them
	// replaced. When they are further apart the earlier one was refused: had it been made, the later one would have seen
	// that.
	race = 500 * time.Millisecond
	// unversioned is within which a change that does not depend on the object's version is made after its validation.
	unversioned = time.Second
	// retried is within which the API server validates a change again that conflicted with another.
	retried = 300 * time.Millisecond
	// mostEvidence is of how many places an event has evidence at most.
	mostEvidence = 8
)

// history is what is known of one object: events, each of which shows the version that it was based on, and perhaps the
// object as it was read.
//
// Everything follows from two facts. A write replaces the version that it was validated against, so of the events that
// are based on one version at most one was made. (Evictions and the removal of the last finalizer are none: the API server
// then deletes the object whatever its version is.) And a deletion is never taken back, so a version that is not being deleted shows
// that no earlier one was deleted.
type history struct {
	digester audit.Digester
	// byBase are the events that are based on a version; those of 0 are creations, and what names no version.
	byBase map[uint64][]*Event
	// completions are those that end a deletion, whatever version they are based on.
	completions []*Event
	// evictions delete the object, whatever version they are based on.
	evictions []*Event
	// versions are those that are known, the oldest first.
	versions []version
	// live is what a read showed; nil when there was none.
	live *sight
	// complete says that everything that was done to the object was recorded: only then what is gone, or is as it was,
	// speaks for or against a change.
	complete bool
}

// version is one version of the object.
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
func newHistory(digester audit.Digester, events []*Event) *history {
	h := &history{digester: digester, byBase: map[uint64][]*Event{}}
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
	return h
}

// with is the history together with what a read showed: seen is the object of that name, perhaps another one. complete
// says that there is an event for all that was done to it.
func (h *history) with(seen sight, uid string, complete bool) *history {
	if seen.exists && string(seen.meta.UID) != uid {
		seen = sight{}
	}
	full := &history{digester: h.digester, byBase: h.byBase, completions: h.completions, evictions: h.evictions,
		versions: slices.Clone(h.versions), live: &seen, complete: complete,
	}
	if number, err := parseVersion(seen.meta.ResourceVersion); err == nil {
		full.versions = append(full.versions, version{number, seen.meta.DeletionTimestamp, false})
	}
	full.sort()
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
func baseOf(event *Event) uint64 {
	base, err := parseVersion(event.Head.Resource.ResourceVersion)
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

// isGone says that the object was read for, and is not there.
func (h *history) isGone() bool { return h.complete && h.live != nil && !h.live.exists }

// isAt says that the object was read, and still is what it was at this version.
func (h *history) isAt(number uint64) bool {
	return h.live != nil && h.live.exists && h.live.meta.ResourceVersion == formatVersion(number)
}

// isCompletion says that the event is of the removal of the last finalizer of an object that was being deleted.
func isCompletion(event *Event) bool {
	return event.Head.Action == v1alpha1.ActionDelete && len(event.Head.Evidence) > 0
}

func isEviction(event *Event) bool {
	return event.Head.Action == v1alpha1.ActionDelete && event.Head.Resource.Subresource == "eviction"
}

// asksForDeletion says that the event is of the first request for the object's deletion.
func asksForDeletion(event *Event) bool {
	return event.Head.Action == v1alpha1.ActionDelete && event.Head.Resource.DeletionTime == nil
}

// rivals are the events of which at most one was made, but for the event itself.
func (h *history) rivals(event *Event) []*Event {
	base := baseOf(event)
	var rivals []*Event
	add := func(events []*Event, rival func(*Event) bool) {
		for _, other := range events {
			if other != event && rival(other) {
				rivals = append(rivals, other)
			}
		}
	}
	switch {
	case isCompletion(event):
		add(h.completions, isCompletion)
		return rivals
	case isEviction(event):
		for _, events := range h.byBase {
			add(events, asksForDeletion)
		}
		return rivals
	case asksForDeletion(event):
		add(h.evictions, isEviction)
	}
	add(h.byBase[base], func(other *Event) bool {
		return !isCompletion(other) && !isEviction(other) && (base != 0 || other.Head.Action == event.Head.Action)
	})
	return rivals
}

// fate judges one of the events. Of those that could have been made, but of which only one was, it is the last one. Of
// several that came nearly at the same time it is the first of the same user's, but nobody can tell which of two users'.
func (h *history) fate(event *Event) fate {
	own := h.alone(event)
	var others []*Event
	for _, rival := range h.rivals(event) {
		if h.alone(rival) == made && !h.wasRetried(rival) {
			others = append(others, rival)
		}
	}
	switch {
	case len(others) == 0:
		return own
	case own != made, h.wasRetried(event), slices.ContainsFunc(others, func(rival *Event) bool { return beats(rival, event) }):
		return notMade
	case slices.ContainsFunc(others, func(rival *Event) bool { return !beats(event, rival) }):
		return contest
	default:
		return made
	}
}

// beats says that of two events of which only one was made it was surely this one, or that it does not matter.
func beats(event, other *Event) bool {
	apart := event.Head.Time.Sub(other.Head.Time.Time)
	near := race
	if isEviction(event) || isEviction(other) {
		near = unversioned
	}
	switch {
	case apart.Abs() > near:
		return apart > 0
	case event.Head.Actor.Username != other.Head.Actor.Username:
		return false
	case apart != 0:
		return apart < 0
	default:
		return event.ResourceVersion < other.ResourceVersion
	}
}

// wasRetried says that the same user's same change was validated again on a newer version, as it is when another write
// came first.
func (h *history) wasRetried(event *Event) bool {
	for _, newer := range h.after(baseOf(event)) {
		for _, other := range h.byBase[newer.number] {
			apart := other.Head.Time.Sub(event.Head.Time.Time)
			if apart >= 0 && apart <= retried && other.Head.Action == event.Head.Action &&
				other.Head.Resource.Subresource == event.Head.Resource.Subresource &&
				other.Head.Actor.Username == event.Head.Actor.Username && sameResult(event, other) {
				return true
			}
		}
	}
	return false
}

// sameResult says that two changes write the same.
func sameResult(a, b *Event) bool {
	return slices.EqualFunc(a.Head.Evidence, b.Head.Evidence, func(x, y v1alpha1.Evidence) bool {
		return x.Path == y.Path && x.Digest == y.Digest
	})
}

// alone judges an event without asking who else may have made its change.
func (h *history) alone(event *Event) fate {
	head := &event.Head
	switch {
	case head.Action == v1alpha1.ActionCreate:
		if len(h.versions) > 0 {
			return made
		}
		return unsure
	case head.Action == v1alpha1.ActionUpdate:
		return h.ofUpdate(event)
	case isCompletion(event):
		return h.ofCompletion(event)
	case isEviction(event):
		return h.ofEviction(event)
	case head.Resource.DeletionTime != nil:
		return h.ofHastening(event)
	default:
		return h.ofDeletion(event)
	}
}

// ofDeletion judges what asks for the deletion of an object by the next version that shows whether that was done.
func (h *history) ofDeletion(event *Event) fate {
	base := baseOf(event)
	for _, next := range h.after(base) {
		switch {
		case next.deletion != nil:
			return made
		case next.isAlive():
			return notMade
		}
	}
	switch {
	case h.isAt(base):
		return notMade
	case h.isGone():
		return made
	default:
		return unsure
	}
}

// ofEviction judges an eviction. Nobody can have seen the pod without its deletion asked for a while after that.
func (h *history) ofEviction(event *Event) fate {
	going := h.isGone()
	for _, newer := range h.after(baseOf(event)) {
		going = going || newer.deletion != nil
	}
	for _, events := range h.byBase {
		for _, other := range events {
			if other.Head.Resource.DeletionTime == nil && other.Head.Resource.Subresource != "scale" && other.Head.Time.Sub(event.Head.Time.Time) > unversioned {
				return notMade
			}
		}
	}
	switch {
	case going:
		return made
	case h.live != nil && h.live.exists:
		return notMade
	default:
		return unsure
	}
}

// ofCompletion judges the removal of the last finalizer. Nobody can have seen the object a while after that.
func (h *history) ofCompletion(event *Event) fate {
	if h.isAt(baseOf(event)) {
		return notMade
	}
	for _, newer := range h.after(baseOf(event)) {
		for _, other := range h.byBase[newer.number] {
			if other.Head.Time.Sub(event.Head.Time.Time) > unversioned {
				return notMade
			}
		}
	}
	switch {
	case h.isGone():
		return made
	case h.live != nil && h.live.exists:
		return notMade
	default:
		return unsure
	}
}

// secondHalf is how long after the first half of a deletion without grace its second one may come.
const secondHalf = 2 * time.Second

// ofHastening judges a deletion of what is being deleted already, which shortens its grace. The API server validates a
// deletion without grace twice, the second time when it has marked the object.
func (h *history) ofHastening(event *Event) fate {
	deletion := event.Head.Resource.DeletionTime
	next, replaced := h.next(baseOf(event))
	switch {
	case event.Head.Time.Sub(deletion.Time).Abs() <= secondHalf && h.hasFirstHalf(event):
		return notMade
	case h.isAt(baseOf(event)):
		return notMade
	case !deletion.After(event.Head.Time.Time):
		// There is nothing to hasten. It changed what becomes of the object's dependents, if it did anything.
		return unsure
	case replaced && next.deletion != nil && next.deletion.Before(deletion), !replaced && h.isGone():
		return made
	case replaced:
		return notMade
	default:
		return unsure
	}
}

// hasFirstHalf says that the same user asked for the deletion just before.
func (h *history) hasFirstHalf(event *Event) bool {
	for base, events := range h.byBase {
		for _, first := range events {
			apart := event.Head.Time.Sub(first.Head.Time.Time)
			if first.Head.Action == v1alpha1.ActionDelete && first.Head.Actor.Username == event.Head.Actor.Username &&
				base < baseOf(event) && apart >= 0 && apart <= secondHalf {
				return true
			}
		}
	}
	return false
}

// ofUpdate judges an update by the first version after it that shows one of its places.
func (h *history) ofUpdate(event *Event) fate {
	base := baseOf(event)
	if h.isAt(base) {
		return notMade
	}
	blurred := false
	for _, v := range h.after(base) {
		for _, other := range h.byBase[v.number] {
			switch sighting, shown := sightLater(h.digester, event, other); {
			case !shown:
				blurred = blurred || mayHide(other, event)
			case sighting == audit.SawAfter:
				return made
			case sighting == audit.SawBefore:
				return notMade
			default:
				return unsure
			}
		}
	}
	if blurred {
		return unsure // It may have been overwritten by what has more changes than evidence.
	}
	return h.ofLiveUpdate(event)
}

// mayHide says that one event may have changed a place of another without having evidence of it. Evidence is in the order
// of its places, those in status last, and ends where there are too many.
func mayHide(event, other *Event) bool {
	evidence := event.Head.Evidence
	if len(evidence) < mostEvidence {
		return false
	}
	last := evidence[len(evidence)-1].Path
	return slices.ContainsFunc(other.Head.Evidence, func(e v1alpha1.Evidence) bool { return audit.ComparePlaces(e.Path, last) > 0 })
}

func (h *history) ofLiveUpdate(event *Event) fate {
	if h.live == nil || !h.live.exists {
		return unsure
	}
	if live, err := parseVersion(h.live.meta.ResourceVersion); err != nil || live < baseOf(event) {
		return unsure // The cache lags.
	}
	switch sighting, err := audit.Sight(h.digester, event.Head.Evidence, h.live.body); {
	case err != nil:
		return unsure
	case sighting == audit.SawAfter:
		return made
	case sighting == audit.SawBefore && h.complete:
		return notMade
	default:
		return unsure
	}
}
