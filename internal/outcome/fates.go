package outcome

import (
	"slices"
	"strings"
	"time"

	"k8s.io/utils/ptr"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// mostEvidence is of how many places an event has evidence at most.
const mostEvidence = 8

// alone judges an event without asking who else may have made its change.
func (h *history) alone(event *recorded.Event) fate {
	head := &event.Head
	switch {
	case event.Status.Outcome == v1alpha1.OutcomePersisted:
		return made
	case event.Status.Outcome == v1alpha1.OutcomeNotPersisted, h.isStale(event), findsNone(event):
		return notMade
	case h.isTracked(event):
		return h.onTrack(event)
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
func (h *history) ofDeletion(event *recorded.Event) fate {
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
func (h *history) ofEviction(event *recorded.Event) fate {
	going := h.isGone()
	for _, newer := range h.after(baseOf(event)) {
		going = going || newer.deletion != nil
	}
	for _, events := range h.byBase {
		for _, other := range events {
			if other.Head.Resource.DeletionTime == nil && other.Head.Resource.Subresource != "scale" && other.Head.Time.Sub(event.Head.Time.Time) > stretched(event.Kept+unversioned, event) {
				return notMade
			}
		}
	}
	switch {
	case going && len(h.versions) == 0:
		return unsure // The pod that it did not find at first may never have been there.
	case going:
		return made
	case h.live != nil && h.live.Exists:
		return notMade
	default:
		return unsure
	}
}

// ofCompletion judges the removal of the last finalizer. Nobody can have seen the object a while after that.
func (h *history) ofCompletion(event *recorded.Event) fate {
	if h.isAt(baseOf(event)) || h.isSeenAfter(event) {
		return notMade
	}
	switch {
	case h.isGone() && h.mayHaveEndedOtherwise(event):
		return unsure
	case h.isGone():
		return made
	case h.live != nil && h.live.Exists:
		return notMade
	default:
		return unsure
	}
}

// isSeenAfter says that somebody saw the object a while after a request that would have removed it.
func (h *history) isSeenAfter(event *recorded.Event) bool {
	for base, events := range h.byBase {
		for _, other := range events {
			if base >= baseOf(event) && other.Head.Time.Sub(event.Head.Time.Time) > stretched(event.Kept+race, event) {
				return true
			}
		}
	}
	return false
}

// mayHaveEndedOtherwise says that somebody's deletion, asked for at about the same time, may have removed the object: one of
// a pod by its second half, and one of another object by asking for something else to become of its dependents.
func (h *history) mayHaveEndedOtherwise(completion *recorded.Event) bool {
	if completion.Head.Resource.Resource == "pods" {
		// The kubelet's end of a pod is not recorded either.
		return !removesFinalizers(completion)
	}
	for _, events := range h.byBase {
		for _, other := range events {
			apart := completion.Head.Time.Sub(other.Head.Time.Time)
			if other.Head.Action == v1alpha1.ActionDelete && !isCompletion(other) && other.Head.Resource.DeletionTime != nil &&
				apart.Abs() <= stretched(unversioned, completion) {
				return true
			}
		}
	}
	return false
}

// removesFinalizers says that the update removed finalizers. What has none and is being deleted without grace is removed
// by any update.
func removesFinalizers(event *recorded.Event) bool {
	return slices.ContainsFunc(event.Head.Evidence, func(e v1alpha1.Evidence) bool {
		return strings.HasPrefix(e.Path, "/metadata/finalizers") && e.Was != e.Digest
	})
}

const (
	// secondHalf is how long after the first half of a deletion without grace its second one may come when etcd is slow.
	secondHalf = 5 * time.Second
	// cut is how exact a time of deletion is, and two clocks.
	cut = 2 * time.Second
)

// ofHastening judges a deletion of what is being deleted already, which shortens its grace. The API server validates a
// deletion without grace twice, the second time when it has marked the object.
func (h *history) ofHastening(event *recorded.Event) fate {
	deletion := event.Head.Resource.DeletionTime
	next, replaced := h.next(baseOf(event))
	switch {
	case deletion.Sub(event.Head.Time.Time) <= cut && h.hasFirstHalf(event):
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

// hasFirstHalf says that the same user asked for the deletion just before it was noted on the object, and that the event came as soon
// as it was.
func (h *history) hasFirstHalf(event *recorded.Event) bool {
	marked := h.revisions.madeBy(baseOf(event))
	if event.Head.Time.Sub(event.Head.Resource.DeletionTime.Time) > stretched(event.Kept+cut, event) ||
		h.ordered && !marked.IsZero() && event.Head.Time.Sub(marked) > stretched(race, event) {
		return false
	}
	for _, first := range h.earlierDeletions(event, secondHalf+event.Kept) {
		next, replaced := h.next(baseOf(first))
		if !replaced || event.Head.Resource.Resource != "pods" && next.number != baseOf(event) {
			continue // Of what is not deleted gracefully, a deletion of a later version is another request.
		}
		if h.alone(first) != notMade && !h.isBeaten(first, h.madeRivals(first)) && first.Head.Time.Sub(event.Head.Resource.DeletionTime.Time) <= cut {
			return true
		}
	}
	return false
}

// earlierDeletions are those that the event's user asked for up to a while before it, of an older version and in the same way: each
// validation of one request shows the same options.
func (h *history) earlierDeletions(event *recorded.Event, within time.Duration) []*recorded.Event {
	var earlier []*recorded.Event
	for base, events := range h.byBase {
		for _, other := range events {
			apart := event.Head.Time.Sub(other.Head.Time.Time)
			if base < baseOf(event) && other.Head.Action == v1alpha1.ActionDelete && other.Head.Actor.Username == event.Head.Actor.Username &&
				apart >= 0 && apart <= within && asksTheSame(event, other) {
				earlier = append(earlier, other)
			}
		}
	}
	return earlier
}

// asksTheSame says that two deletions are asked for with the same options.
func asksTheSame(a, b *recorded.Event) bool {
	one, two := &a.Head.Request, &b.Head.Request
	return one.PropagationPolicy == two.PropagationPolicy && ptr.Equal(one.GracePeriodSeconds, two.GracePeriodSeconds)
}

// ofUpdate judges an update by the first version after it that shows one of its places.
func (h *history) ofUpdate(event *recorded.Event) fate {
	base := baseOf(event)
	if h.isAt(base) {
		return notMade
	}
	blurred := false
	for _, v := range h.after(base) {
		for _, other := range h.byBase[v.number] {
			switch sighting, shown := sightLater(h.digester, event, other); {
			case !sameForm(&event.Head.Resource, &other.Head.Resource):
				blurred = true // What is at a place in one version of the API may be elsewhere in another.
			case !shown:
				blurred = blurred || mayHide(other, event)
			case blurred:
				return unsure // What has more changes than evidence may have written this.
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
func mayHide(event, other *recorded.Event) bool {
	evidence := event.Head.Evidence
	if len(evidence) < mostEvidence {
		return false
	}
	last := evidence[len(evidence)-1].Path
	return slices.ContainsFunc(other.Head.Evidence, func(e v1alpha1.Evidence) bool { return audit.ComparePlaces(e.Path, last) > 0 })
}

func (h *history) ofLiveUpdate(event *recorded.Event) fate {
	switch {
	case event.Upsert && h.isGone():
		return notMade
	case h.live == nil || !h.live.Exists:
		return unsure
	}
	if live, err := apijson.ParseVersion(h.live.Meta.ResourceVersion); err != nil || live < baseOf(event) {
		return unsure // The cache lags.
	}
	switch sighting, err := audit.Sight(h.digester, event.Head.Evidence, h.live.Body); {
	case err != nil:
		return unsure
	case sighting == audit.SawAfter:
		return made
	default:
		return unsure // It may have been made, and undone by somebody whose change is not recorded, or not known yet.
	}
}

// sameForm says that objects are shown in the same version of the API.
func sameForm(a, b *v1alpha1.ResourceReference) bool {
	return a.Group == b.Group && a.Version == b.Version
}
