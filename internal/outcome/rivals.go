package outcome

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

const (
	// race is how far apart two requests may have come that were both based on the version that only one of them
	// replaced. When they are further apart the earlier one was refused: had it been made, the later one would have seen
	// that. On two busy cores the slowest that was made, and met a rival, took 250 ms.
	race = 350 * time.Millisecond
	// unversioned is within which a change that does not depend on the object's version is made after its validation.
	unversioned = time.Second
	// retriedWithin is within which the API server validates a change again that conflicted with another.
	retriedWithin = 300 * time.Millisecond
)

// rivals are the events of which at most one was made, but for the event itself.
func (h *history) rivals(event *recorded.Event) []*recorded.Event {
	base := baseOf(event)
	var rivals []*recorded.Event
	add := func(events []*recorded.Event, rival func(*recorded.Event) bool) {
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
	add(h.byBase[base], func(other *recorded.Event) bool {
		return !isCompletion(other) && !isEviction(other) && (base != 0 || other.Head.Action == event.Head.Action)
	})
	return rivals
}

// fate judges one of the events. Of those that could have been made, but of which only one was, it is the last one. Of two
// users' that came nearly at the same time nobody can tell which.
func (h *history) fate(event *recorded.Event) fate {
	if h.mayHaveEnded(event) || h.mayHaveFollowed(event) {
		return unsure
	}
	own, others := h.alone(event), h.madeRivals(event)
	switch {
	case len(others) == 0 && own == made && event.MayBeKept > 0 && h.isDoneAfter(event, stretched(lateFor, event)):
		return unsure // Another webhook kept it for long, or it was somebody's whose change was not recorded.
	case len(others) == 0:
		return own
	case own != made, h.isBeaten(event, others):
		return notMade
	case slices.ContainsFunc(others, func(rival *recorded.Event) bool { return !h.beats(event, rival) }):
		return contest
	default:
		return made
	}
}

// madeRivals are the rivals that could have been made.
func (h *history) madeRivals(event *recorded.Event) []*recorded.Event {
	return slices.DeleteFunc(h.rivals(event), func(rival *recorded.Event) bool { return h.alone(rival) != made })
}

// isBeaten says that one of the rivals was surely made, and so the event was not.
func (h *history) isBeaten(event *recorded.Event, rivals []*recorded.Event) bool {
	return slices.ContainsFunc(rivals, func(rival *recorded.Event) bool { return h.beats(rival, event) })
}

// beats says that of two events of which only one was made it was surely this one, or that it does not matter.
func (h *history) beats(event, other *recorded.Event) bool {
	apart := event.Head.Time.Sub(other.Head.Time.Time)
	near := race
	if isEviction(event) || isEviction(other) {
		near = unversioned
	}
	first, last := other, event
	if apart < 0 {
		first, last = event, other
	}
	waited := mayHaveWaitedFor(first, last, near)
	near = stretched(near, event, other)
	retried := h.wasRetried(event)
	wroteAll, otherDid := h.wroteAll(event, other)
	fits, otherFits := h.mayHaveLeft(event), h.mayHaveLeft(other)
	switch {
	case other.Status.Outcome == v1alpha1.OutcomePersisted:
		return false
	case event.Status.Outcome == v1alpha1.OutcomePersisted:
		return true
	case wroteAll != otherDid:
		return wroteAll
	case fits != otherFits:
		return fits
	case retried != h.wasRetried(other):
		return !retried
	case apart != 0 && isHeldBesides(first, last):
		return event == last && !waited
	case apart != 0 && (apart.Abs() > near || h.isDoneAfter(first, near)):
		return event == last && !h.mayHavePassed(last, first, near)
	case event.Head.Actor.Username != other.Head.Actor.Username:
		return false
	case h.ordered && !event.Straggler && !other.Straggler:
		// Neither is stale, so the later one came when the earlier one's request had ended in vain.
		return event.ResourceVersion > other.ResourceVersion
	case h.ordered && apart != 0 && !last.Straggler:
		return event == last // It is not stale.
	case apart != 0:
		// The later one may be the API server's, which validates again what it bases on a version that is old by then.
		return apart < 0
	default:
		return event.ResourceVersion < other.ResourceVersion
	}
}

// mayHavePassed says that of two users' requests the later one may have been refused while another webhook kept the first one, which was
// made after that: webhooks were seen to be slow, or the one that was made was not made near its event, whichever it was. One user waits
// for the first to end.
func (h *history) mayHavePassed(last, first *recorded.Event, near time.Duration) bool {
	if last.Head.Actor.Username == first.Head.Actor.Username || first.MayBeKept == 0 || last.Head.Time.After(ended(first)) {
		return false
	}
	return first.Kept > 0 || h.isDoneAfter(last, near)
}

// isHeldBesides says that the API server may have made a request wait, and that the later one is somebody else's: one user waits for the
// first to end.
func isHeldBesides(event, later *recorded.Event) bool {
	return !event.WaitedUntil().IsZero() && event.Head.Actor.Username != later.Head.Actor.Username
}

// mayHaveWaitedFor says that the API server may have made a request wait until after a later one. near is how far apart requests are that
// are in each other's way when it is not slow.
func mayHaveWaitedFor(event, later *recorded.Event, near time.Duration) bool {
	return event.WaitedUntil().Add(near + storings*max(event.SlowAgain, later.Slow)).After(later.Head.Time.Time)
}

// wroteAll says of two updates of one version which of them wrote just what differs between that and the next: the object may show both,
// although only one of them wrote all of it. It says the same of both where it does not tell them apart.
func (h *history) wroteAll(one, two *recorded.Event) (oneDid, twoDid bool) {
	if !isWholeUpdate(one) || !isWholeUpdate(two) || !h.isTracked(one) || !h.isTracked(two) {
		return false, false
	}
	at, _ := h.track.at(baseOf(one))
	next := h.track.after(baseOf(one))
	if next == nil {
		return false, false
	}
	written, err := audit.Retrace(h.digester, h.track.steps[at].Body, next.Body)
	if err != nil {
		return false, false
	}
	return slices.Equal(written, one.Head.Evidence), slices.Equal(written, two.Head.Evidence)
}

// mayHaveLeft says that what followed is what the deletion would have left: who asks for something to become of the dependents first has
// the object marked with a finalizer of the API server's.
func (h *history) mayHaveLeft(event *recorded.Event) bool {
	ref, policy := &event.Head.Resource, event.Head.Request.PropagationPolicy
	if !asksForDeletion(event) || isEviction(event) || !h.isTracked(event) || ignoresPropagation[metav1.GroupResource{Group: ref.Group, Resource: ref.Resource}] {
		return true
	}
	at, _ := h.track.at(baseOf(event))
	was, left := keepsDependents(&h.track.steps[at]), dependents{}
	if next := h.track.after(baseOf(event)); next != nil {
		left = keepsDependents(next)
	}
	if policy == "" { // Some kinds orphan what depends on them when nothing is said.
		return left.deletedFirst == was.deletedFirst
	}
	return left == dependents{policy == metav1.DeletePropagationOrphan, policy == metav1.DeletePropagationForeground}
}

// mayHaveFollowed says that a deletion did not mark the object, and may have removed it all the same when another one had, at about the same
// time: what has neither grace nor finalizers is removed whatever its version is by then.
func (h *history) mayHaveFollowed(event *recorded.Event) bool {
	if event.Status.Outcome != "" || h.mayHaveLeft(event) || h.track.removed == 0 || h.track.after(baseOf(event)) == nil ||
		h.alone(event) != made || h.wasRetried(event) {
		return false
	}
	return slices.ContainsFunc(h.madeRivals(event), func(rival *recorded.Event) bool {
		return h.mayHaveLeft(rival) && event.Head.Time.Sub(rival.Head.Time.Time).Abs() <= stretched(race, event, rival)
	})
}

// ignoresPropagation are the kinds whose deletion leaves the same whatever it asks to become of dependents: nothing depends on an event,
// and a definition's own finalizer waits for its resources.
var ignoresPropagation = map[metav1.GroupResource]bool{
	{Resource: "events"}: true, {Group: "events.k8s.io", Resource: "events"}: true,
	{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"}: true,
}

// isWholeUpdate says that the event is of an update that saw the whole object: a Scale shows a part of it.
func isWholeUpdate(event *recorded.Event) bool {
	return event.Head.Action == v1alpha1.ActionUpdate && event.Head.Resource.Subresource != "scale"
}

// wasRetried says that the same user's same deletion was validated again on a newer version, as it is when another write
// came first. Of an update the newer version shows by itself that it was not made.
func (h *history) wasRetried(event *recorded.Event) bool {
	return slices.ContainsFunc(h.laterTries(event), func(other *recorded.Event) bool {
		return other.Head.Time.Sub(event.Head.Time.Time) <= stretched(retriedWithin, event, other)
	})
}

// laterTries are the same user's same deletions of newer versions that came later.
func (h *history) laterTries(event *recorded.Event) []*recorded.Event {
	if event.Head.Action != v1alpha1.ActionDelete {
		return nil
	}
	var tries []*recorded.Event
	for _, newer := range h.after(baseOf(event)) {
		for _, other := range h.byBase[newer.number] {
			if !other.Head.Time.Before(&event.Head.Time) && other.Head.Action == v1alpha1.ActionDelete &&
				other.Head.Resource.Subresource == event.Head.Resource.Subresource &&
				other.Head.Actor.Username == event.Head.Actor.Username && asksTheSame(event, other) && sameResult(event, other) {
				tries = append(tries, other)
			}
		}
	}
	return tries
}

// sameResult says that two changes write the same.
func sameResult(a, b *recorded.Event) bool {
	return slices.EqualFunc(a.Head.Evidence, b.Head.Evidence, func(x, y v1alpha1.Evidence) bool {
		return x.Path == y.Path && x.Digest == y.Digest
	})
}
