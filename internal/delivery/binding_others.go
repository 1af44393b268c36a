package delivery

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// findRivalBindings finds bindings of one pod to one node that came at about the same time.
func findRivalBindings(events []*Event) {
	bindings := map[types.NamespacedName][]*Event{}
	for _, event := range events {
		if isBinding(&event.Head) {
			bindings[objectName(event)] = append(bindings[objectName(event)], event)
		}
	}
	for _, those := range bindings {
		for _, event := range those {
			event.Rival = nearestRival(event, those)
		}
	}
}

// nearestRival is how far apart the nearest of the other bindings is that asks for the same; 0 when none does.
func nearestRival(event *Event, bindings []*Event) (nearest time.Duration) {
	for _, rival := range bindings {
		if rival == event || rival.Status.Outcome == v1alpha1.OutcomeNotPersisted || !sameResult(rival, event) {
			continue
		}
		apart := max(event.Head.Time.Sub(rival.Head.Time.Time).Abs(), 1)
		if apart <= stretched(unversioned+cut, event, rival) && (nearest == 0 || apart < nearest) {
			nearest = apart
		}
	}
	return nearest
}

// podVersion is a version of a pod; the zero value is none.
type podVersion struct {
	uid    string
	number uint64
}

// findBoundPods finds of which pod each binding is that waited in a local file, and a version of it: of the name, the one that was there
// last before the binding was asked for.
func findBoundPods(events []*Event) {
	pods := map[types.NamespacedName][]*Event{}
	for _, event := range events {
		if event.Late && isBinding(&event.Head) {
			pods[objectName(event)] = nil
		}
	}
	if len(pods) == 0 {
		return
	}
	for _, event := range events {
		ref := &event.Head.Resource
		same, asked := pods[objectName(event)]
		if asked && ref.Resource == "pods" && ref.Group == "" && (baseOf(event) != 0 || creates(&event.Head)) && event.Status.Outcome != v1alpha1.OutcomeNotPersisted {
			pods[objectName(event)] = append(same, event)
		}
	}
	for _, event := range events {
		if event.Late && isBinding(&event.Head) {
			event.Pod = boundPod(event, pods[objectName(event)])
		}
	}
}

func boundPod(binding *Event, pods []*Event) podVersion {
	uid := binding.Head.Resource.UID
	var last time.Time
	for _, event := range pods {
		if at := event.Head.Time.Time; binding.Head.Resource.UID == "" && at.Before(binding.Head.Time.Time) && at.After(last) {
			uid, last = event.Head.Resource.UID, at
		}
	}
	for _, event := range pods {
		if base := baseOf(event); base != 0 && event.Head.Resource.UID == uid {
			return podVersion{uid, base}
		}
	}
	return podVersion{}
}

// wasBornBound says that the pod of a binding was on a node when it was created. Nobody binds such a pod.
func (j *judge) wasBornBound(ctx context.Context, event *Event) (bool, error) {
	if event.Pod.number == 0 {
		return false, nil
	}
	ref := event.Head.Resource
	ref.UID = event.Pod.uid
	f := follower{objects: j.objects, ref: &ref, room: newRoom()}
	var first footprint
	was, _, err := f.look(ctx, event.Pod.number)
	for err == nil && was.number != 0 {
		first = was
		was, _, err = f.look(ctx, first.number-1)
	}
	return err == nil && first.number != 0 && !j.isUnbound(event, first.body), err
}
