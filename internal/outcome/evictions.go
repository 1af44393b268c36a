package outcome

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

const (
	// evicting is how long after an eviction the API server may look for its pod. How long before it the creation of a pod may have been
	// admitted that was not stored yet is the time within which two requests meet.
	evicting = 20 * time.Millisecond
	// evictingLater is how long it may be when others take their time to validate the eviction. So late a pod is only looked for where
	// more is known of it than that somebody asked for its creation.
	evictingLater = 300 * time.Millisecond
)

// foundNone says that the event is of an eviction for which the recorder found no pod. The API server looks for it a moment
// later, when somebody may have created it.
func foundNone(head *recorded.Head) bool {
	return head.Action == v1alpha1.ActionDelete && head.Resource.Subresource == "eviction" && head.Resource.ResourceVersion == v1alpha1.NoVersion
}

// findsNone says that the event is of the eviction of a pod that was being deleted, and that nothing kept any more. The API server
// first notes on the pod that it is evicted, which removes such a pod as any update does, and then answers that there is none.
func findsNone(event *recorded.Event) bool {
	return isEviction(event) && event.Head.Resource.DeletionTime != nil
}

// findPods gives each eviction for which there was no pod the one that somebody was creating at that moment, rather one of which
// more is known; and each eviction whose pod could not be read the one of which something was stored last.
func findPods(events []*recorded.Event) {
	if !slices.ContainsFunc(events, nameOnly) {
		return
	}
	pods, known := map[types.NamespacedName][]*recorded.Event{}, map[string]bool{}
	for _, event := range events {
		if event.Head.Action == v1alpha1.ActionCreate && event.Head.Resource.Kind == "Pod" && event.Status.Outcome != v1alpha1.OutcomeNotPersisted {
			pods[objectName(event)] = append(pods[objectName(event)], event)
		}
		if baseOf(event) != 0 {
			known[event.Head.Resource.UID] = true
		}
	}
	for _, event := range events {
		switch {
		case !nameOnly(event):
		case foundNone(&event.Head):
			event.Head.Resource.UID = nearest(event, pods[objectName(event)], known, evicting)
		default:
			event.Head.Resource.UID = lastBefore(event, events)
		}
	}
}

// nameOnly says that of an eviction's pod only the name is known: there was none, or it could not be read.
func nameOnly(event *recorded.Event) bool {
	return foundNone(&event.Head) || isEviction(event) && event.Head.Resource.UID == ""
}

// lastBefore is the uid of the pod of which an event was stored last before the eviction's, which names none because the pod could
// not be read; empty when there is none.
func lastBefore(eviction *recorded.Event, events []*recorded.Event) (uid string) {
	for _, event := range events { // In the order in which they were stored.
		if event.ResourceVersion >= eviction.ResourceVersion {
			break
		}
		ref := &event.Head.Resource
		if ref.Resource == "pods" && ref.Group == "" && ref.UID != "" && !foundNone(&event.Head) && objectName(event) == objectName(eviction) &&
			event.Status.Outcome != v1alpha1.OutcomeNotPersisted {
			uid = ref.UID
		}
	}
	return uid
}

// nearest is the uid of the pod that was being created when the eviction came, or so long after it, or a little longer where it is known
// that there was such a pod; empty when there was none.
func nearest(eviction *recorded.Event, creations []*recorded.Event, known map[string]bool, within time.Duration) (uid string) {
	var distance time.Duration
	for _, pod := range creations {
		apart := pod.Head.Time.Sub(eviction.Head.Time.Time)
		after := within
		if known[pod.Head.Resource.UID] {
			after = evictingLater
		}
		if apart < -stretched(race+pod.Kept, eviction, pod) || apart > stretched(after+eviction.Kept, eviction, pod) {
			continue
		}
		if apart = apart.Abs(); known[pod.Head.Resource.UID] {
			apart -= race
		}
		if uid == "" || apart < distance {
			uid, distance = pod.Head.Resource.UID, apart
		}
	}
	return uid
}

// byName are those of the events that are wanted, by the name of what they are about.
func byName(events []*recorded.Event, wanted func(*recorded.Event) bool) map[types.NamespacedName][]*recorded.Event {
	found := map[types.NamespacedName][]*recorded.Event{}
	for _, event := range events {
		if wanted(event) {
			found[objectName(event)] = append(found[objectName(event)], event)
		}
	}
	return found
}

// mayHaveBeenEvicted says that somebody evicted a pod of the name at about the time of the creation. The API server looks for the pod
// after the recorder did, and may have found this one in place of the one before.
func (h *history) mayHaveBeenEvicted(creation *recorded.Event) bool {
	return slices.ContainsFunc(h.namesakes, func(eviction *recorded.Event) bool {
		earlier := creation.Head.Time.Sub(eviction.Head.Time.Time)
		return earlier <= stretched(race+eviction.Kept, creation, eviction) && earlier >= -stretched(race+creation.Kept, creation, eviction)
	})
}

func objectName(event *recorded.Event) types.NamespacedName {
	return types.NamespacedName{Namespace: event.Head.Resource.Namespace, Name: event.Head.Resource.Name}
}

// decideEviction judges the eviction of a pod of which only the name is known.
func decideEviction(head *recorded.Head, seen objects.Sight) ledger.Judgement {
	switch {
	case foundNone(head):
		return notPersisted
	case !seen.Exists, seen.Meta.CreationTimestamp.After(head.Time.Time), seen.Meta.DeletionTimestamp != nil:
		return goneSince // Somebody else may have deleted it.
	default:
		return notPersisted
	}
}
