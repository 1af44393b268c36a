package outcome

import (
	"context"
	"slices"
	"time"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// findRivalBindings finds bindings of one pod to one node that came at about the same time.
func findRivalBindings(events []*recorded.Event) {
	for _, those := range byName(events, func(event *recorded.Event) bool { return isBinding(&event.Head) }) {
		for _, event := range those {
			event.Binding.Rival = nearestRival(event, those)
		}
	}
}

// nearestRival is how far apart the nearest of the other bindings is that asks for the same; 0 when none does.
func nearestRival(event *recorded.Event, bindings []*recorded.Event) (nearest time.Duration) {
	for _, rival := range bindings {
		if rival == event || rival.Status.Outcome == v1alpha1.OutcomeNotPersisted || !sameResult(rival, event) {
			continue
		}
		apart := max(event.Head.Time.Sub(rival.Head.Time.Time).Abs(), 1)
		if apart <= stretched(lateFor+event.MayBeKept, event, rival) && (nearest == 0 || apart < nearest) {
			nearest = apart
		}
	}
	return nearest
}

// findBoundPods finds what is known of the pods that bindings are of.
func findBoundPods(events []*recorded.Event) {
	bindings := byName(events, func(event *recorded.Event) bool { return isBinding(&event.Head) })
	if len(bindings) == 0 {
		return
	}
	pods := byName(events, func(event *recorded.Event) bool {
		ref := &event.Head.Resource
		return len(bindings[objectName(event)]) > 0 && ref.Resource == "pods" && ref.Group == "" &&
			(baseOf(event) != 0 || creates(&event.Head) && event.Status.Outcome != v1alpha1.OutcomeNotPersisted)
	})
	for name, those := range bindings {
		for _, binding := range those {
			if binding.Late {
				binding.Binding.Pod = boundPod(binding, pods[name])
			}
			binding.Binding.Untouched = slices.ContainsFunc(pods[name], func(later *recorded.Event) bool { return showsUntouched(later, binding) })
		}
	}
}

// showsUntouched says that an event shows the pod of a binding as it was before that was asked for, at a moment at which it would have
// been bound.
func showsUntouched(later, binding *recorded.Event) bool {
	uid := binding.Head.Resource.UID
	return (uid == "" || uid == later.Head.Resource.UID) && baseOf(later) != 0 && baseOf(later) <= binding.StoredAfter() &&
		later.Head.Time.After(boundBy(binding))
}

// boundBy is a moment by which the pod is bound, if it ever is by this request; others' clocks differ.
func boundBy(binding *recorded.Event) time.Time {
	return madeBy(binding, lateFor)
}

// boundPod is a version of the pod of the binding's uid, or else the one of which an event came last before the binding.
func boundPod(binding *recorded.Event, pods []*recorded.Event) recorded.PodVersion {
	uid := binding.Head.Resource.UID
	var last time.Time
	for _, event := range pods {
		if at := event.Head.Time.Time; binding.Head.Resource.UID == "" && at.Before(binding.Head.Time.Time) && at.After(last) {
			uid, last = event.Head.Resource.UID, at
		}
	}
	for _, event := range pods {
		if base := baseOf(event); base != 0 && event.Head.Resource.UID == uid {
			return recorded.PodVersion{UID: uid, Number: base}
		}
	}
	return recorded.PodVersion{}
}

// wasBornBound says that the pod of a binding was on a node when it was created. Nobody binds such a pod.
func (j *Judge) wasBornBound(ctx context.Context, event *recorded.Event) (bool, error) {
	if event.Binding.Pod.Number == 0 {
		return false, nil
	}
	f := newFollower(j.Objects, &event.Head.Resource, event.Binding.Pod.UID)
	var first footprint
	was, _, err := f.look(ctx, event.Binding.Pod.Number)
	for err == nil && was.number != 0 {
		first = was
		was, _, err = f.look(ctx, first.number-1)
	}
	return err == nil && first.number != 0 && !j.isUnbound(event, first.Body), err
}
