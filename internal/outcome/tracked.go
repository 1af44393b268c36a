package outcome

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// isTracked says that the versions that followed the event's own are known, in the form in which an update was made.
func (h *history) isTracked(event *recorded.Event) bool {
	if event.Head.Action == v1alpha1.ActionCreate || h.track == nil ||
		event.Head.Action == v1alpha1.ActionUpdate && !sameForm(&event.Head.Resource, h.track.ref) {
		return false
	}
	_, known := h.track.at(baseOf(event))
	return known || isEviction(event)
}

// onTrack judges an event by the version that followed its own.
func (h *history) onTrack(event *recorded.Event) fate {
	next := h.track.after(baseOf(event))
	switch {
	case next == nil && h.track.removed == 0:
		return notMade // Nothing was done to it.
	case isEviction(event):
		return h.evictionOnTrack(event)
	case isCompletion(event):
		return h.completionOnTrack(event)
	case event.Head.Action == v1alpha1.ActionUpdate && next == nil:
		return notMade // It was removed, and an update leaves a version.
	case event.Head.Action == v1alpha1.ActionUpdate:
		return h.updateOnTrack(event, next)
	case event.Head.Resource.DeletionTime != nil:
		return h.hasteningOnTrack(event, next)
	case next != nil && !next.isDeleting():
		return notMade
	}
	judged := h.inTime(event, h.doneAt(event, next))
	if next == nil && !h.complete && judged == made {
		return unsure // Somebody may have removed it while nobody recorded.
	}
	return judged
}

// doneAt is a moment that had passed when what followed the event's version was done; zero when none is known.
func (h *history) doneAt(event *recorded.Event, next *footprint) time.Time {
	at, _ := h.track.at(baseOf(event))
	was, number, done := &h.track.steps[at], h.track.removed, time.Time{}
	switch {
	case next == nil:
	case next.isDeleting() && !was.isDeleting():
		number, done = next.number, next.deletionAsked()
	case next.Meta.Written.After(was.Meta.Written):
		number, done = next.number, next.Meta.Written
	default:
		number = next.number // It only lacks fields, which is not noted.
	}
	if h.ordered {
		done = later(done, h.revisions.passedBy(number))
	}
	return done
}

// lateFor is how long after an event its change is made at most when nothing holds it up.
const lateFor = unversioned + cut

// inTime judges a change that was made after a moment: long after the event it was somebody's whose change was not recorded, unless the
// API server made it wait as long; and a while after it perhaps, where not everything was recorded, however
// slow the API server was.
func (h *history) inTime(event *recorded.Event, done time.Time) fate {
	tooLate := done.Sub(event.Begun()) > stretched(lateFor, event) && (!event.Late || done.After(event.Seen))
	latest := done
	if event.Overdue {
		latest = done.Add(time.Second) // What tells when is exact to the second, and whoever came later in it may be forgotten.
	}
	switch {
	case tooLate && event.Unwatched && done.Before(event.WaitedUntil()):
		return unsure
	case tooLate && event.MayBeKept > 0 && done.Before(ended(event)):
		return made // Unless it is somebody's whose change was not recorded: see fate.
	case tooLate:
		return notMade
	case latest.Sub(event.Head.Time.Time) > race && !h.complete:
		return unsure
	default:
		return made
	}
}

// isDoneAfter says that what followed the event's version was done later than a while after the event: then it was another one's, if there
// is one that it may be of.
func (h *history) isDoneAfter(event *recorded.Event, while time.Duration) bool {
	if !h.isTracked(event) || isEviction(event) || isCompletion(event) {
		return false
	}
	next := h.track.after(baseOf(event))
	return (next != nil || h.track.removed != 0) && h.doneAt(event, next).Sub(event.Begun()) > while
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// updateOnTrack judges an update: if it was made, the next version shows each of its places as it wrote it.
func (h *history) updateOnTrack(event *recorded.Event, next *footprint) fate {
	switch sighting, err := audit.Sight(h.digester, event.Head.Evidence, next.Body); {
	case err != nil || len(event.Head.Evidence) == 0:
		return unsure
	case sighting == audit.SawAfter:
		return h.inTime(event, h.doneAt(event, next))
	case sighting == audit.SawNeither && event.Head.Resource.Subresource == "scale":
		return unsure // A kind may keep what its Scale shows elsewhere.
	default:
		return notMade
	}
}

// evictionOnTrack judges evictions: the API server says on the pod that it evicts it, and then deletes it, which leaves that as it is. The
// version in between need not be known: an API server's cache was seen not to show it.
func (h *history) evictionOnTrack(event *recorded.Event) fate {
	steps := h.track.steps
	ending := slices.IndexFunc(steps, func(f footprint) bool { return f.isDeleting() })
	switch {
	case ending < 0 && h.track.removed == 0:
		return notMade
	case ending == 0:
		return unsure // It was being deleted before anything is known of it.
	case ending < 0:
		ending = len(steps) - 1
	case h.ordered && !event.Straggler && steps[ending].number < event.ResourceVersion:
		return notMade // Its deletion had been asked for before the event was stored.
	}
	if evicted := evictedAt(&steps[ending]); !evicted.IsZero() {
		return h.inTime(event, evicted)
	}
	return notMade
}

// evictedBy is the reason of a pod's condition that the API server gives when it evicts it.
const evictedBy = "EvictionByEvictionAPI"

// evictedAt is when the API server was about to delete the pod because somebody evicted it; zero when it was not.
func evictedAt(pod *footprint) time.Time {
	return conditionSince(pod.Body, corev1.DisruptionTarget, evictedBy)
}

// completionOnTrack judges the removal of the last finalizer, which removes the object whatever its version is by then.
func (h *history) completionOnTrack(event *recorded.Event) fate {
	inTime := h.inTime(event, h.revisions.passedBy(h.track.removed))
	switch {
	case h.track.removed == 0, h.isSeenAfter(event):
		return notMade
	case h.ordered && !event.Straggler && event.ResourceVersion > h.track.removed:
		return notMade // It was removed before the event was stored.
	case h.ordered && inTime != made:
		return inTime // It was still there long after the event, and somebody may have removed it whose event is not known yet.
	case !h.complete:
		return unsure
	case len(h.completions) == 1 && event.Head.Actor.Type != v1alpha1.ActorControlPlane && keepsDependents(h.track.last()) != dependents{}:
		return unsure // The garbage collector may have removed it, which not every trail asks for.
	case len(h.track.last().Meta.Finalizers) > 0 && removesFinalizers(event) && !h.mayHaveEndedOtherwise(event):
		return made
	default:
		return unsure
	}
}

// mayHaveEnded says that a deletion that came too late to mark the object may have removed it all the same: its request is validated
// again on what another one marked, which the recorder takes for the same change. So it is when nothing else tells why the object
// went in spite of its finalizers.
func (h *history) mayHaveEnded(event *recorded.Event) bool {
	if h.track == nil || h.track.removed == 0 || !h.complete || !asksForDeletion(event) || event.Status.Outcome != "" ||
		event.Head.Resource.Resource == "pods" || !h.isStale(event) || event.ResourceVersion > h.track.removed || h.wasRetried(event) {
		return false
	}
	// A try that found the object unmarked has an event of its own, however long it took.
	if slices.ContainsFunc(h.laterTries(event), func(try *recorded.Event) bool {
		return asksForDeletion(try) && try.Head.Time.Sub(event.Head.Time.Time) <= secondHalf
	}) {
		return false
	}
	last := h.track.last()
	if last.number <= baseOf(event) || !last.isDeleting() || len(last.Meta.Finalizers) == 0 {
		return false
	}
	for _, events := range h.byBase {
		for _, other := range events {
			if other.Head.Action == v1alpha1.ActionDelete && other.Head.Resource.DeletionTime != nil && h.alone(other) != notMade {
				return false
			}
		}
	}
	return true
}

// hasteningOnTrack judges a deletion of what is being deleted already: it shortens the grace that is left, or changes what becomes of
// the dependents, or it is the second half of a deletion without grace.
func (h *history) hasteningOnTrack(event *recorded.Event, next *footprint) fate {
	deletion := event.Head.Resource.DeletionTime
	at, _ := h.track.at(baseOf(event))
	was := &h.track.steps[at]
	switch {
	case next != nil && keepsDependents(next) != keepsDependents(was):
		return made // Also the second try of a request whose first one somebody else's deletion came before.
	case deletion.Sub(event.Head.Time.Time) <= cut && h.hasFirstHalf(event):
		return notMade
	case next == nil && graceOf(was) > 0 && !h.isRetry(event):
		return made
	case next == nil:
		return unsure // Whoever ended it, there was no grace to shorten, or the request did not ask for that.
	case !hastens(was, next):
		return notMade
	case h.isRetry(event):
		return unsure // The kubelet, whose ends of pods are not recorded, may have done it.
	default:
		return made
	}
}

// hastens says that the later version is to be removed sooner.
func hastens(was, next *footprint) bool {
	return next.isDeleting() && next.Meta.DeletionTimestamp.Before(was.Meta.DeletionTimestamp) || graceOf(next) < graceOf(was)
}

// isRetry says that the same user's deletion was validated just before, when nobody's deletion had marked the object: then it is one
// like the other's, and shortens nothing unless it asked for less grace.
func (h *history) isRetry(event *recorded.Event) bool {
	return slices.ContainsFunc(h.earlierDeletions(event, stretched(unversioned, event)), asksForDeletion)
}

// graceOf is how long after the request for its deletion the object was to be removed.
func graceOf(f *footprint) time.Duration {
	if f.Meta.DeletionGracePeriodSeconds == nil {
		return 0
	}
	return time.Duration(*f.Meta.DeletionGracePeriodSeconds) * time.Second
}

// dependents is what becomes of an object's dependents, as the API server keeps it in finalizers.
type dependents struct{ orphaned, deletedFirst bool }

func keepsDependents(f *footprint) dependents {
	return dependents{
		slices.Contains(f.Meta.Finalizers, metav1.FinalizerOrphanDependents),
		slices.Contains(f.Meta.Finalizers, metav1.FinalizerDeleteDependents),
	}
}
