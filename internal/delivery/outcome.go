package delivery

import (
	"time"

	"github.com/go-json-experiment/json"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
)

// Verdicts, with what a reader should know about them.
var (
	persisted    = ledger.Judgement{Outcome: v1alpha1.OutcomePersisted}
	notPersisted = ledger.Judgement{Outcome: v1alpha1.OutcomeNotPersisted, Message: "The change was admitted but not made: a later check, a quota or a conflict refused it"}
	goneSince    = ledger.Judgement{Outcome: v1alpha1.OutcomeUnknown, Message: "The object was gone before the change could be confirmed"}
	overwritten  = ledger.Judgement{Outcome: v1alpha1.OutcomeUnknown, Message: "The object was changed again before the change could be confirmed"}
	notAllowed   = ledger.Judgement{Outcome: v1alpha1.OutcomeUnknown, Message: "The operator may not read objects of this kind: see the ClusterRole trailkeeper-outcome-reader"}
	notReadable  = ledger.Judgement{Outcome: v1alpha1.OutcomeUnknown, Message: "The object could not be read to confirm the change"}
)

// applies says whether something is stored that can be looked for: not for a connection or a notice, nor for a created
// subresource such as a token, but for an eviction.
func applies(head *Head) bool {
	switch head.Action {
	case v1alpha1.ActionConnect, v1alpha1.ActionNotice:
		return false
	case v1alpha1.ActionCreate:
		return head.Resource.Subresource == ""
	default:
		return true
	}
}

// needsBody says whether the judgement depends on more than the object's metadata.
func needsBody(head *Head) bool { return len(head.Evidence) > 0 }

// decide judges an event by what a consistent read of its object showed. deletesAreRecorded says that the trail has an
// event for every deletion of such an object; none was found.
func decide(head *Head, seen sight, sighting audit.Sighting, deletesAreRecorded bool) ledger.Judgement {
	same := seen.exists && (head.Resource.UID == "" || string(seen.meta.UID) == head.Resource.UID)
	switch head.Action {
	case v1alpha1.ActionCreate:
		return decideCreate(head, seen, same, deletesAreRecorded)
	case v1alpha1.ActionDelete:
		return decideDelete(head, seen, same, sighting)
	default:
		return decideUpdate(head, seen, same, sighting)
	}
}

func decideCreate(head *Head, seen sight, same, deletesAreRecorded bool) ledger.Judgement {
	switch {
	case same:
		return persisted
	case deletesAreRecorded, seen.exists && before(seen.meta.CreationTimestamp, head.Time):
		// An object that was there before has had the name ever since.
		return notPersisted
	default:
		return goneSince
	}
}

// before says that something was surely created before a moment: creation timestamps are cut to seconds.
func before(created metav1.Time, moment metav1.MicroTime) bool {
	return !created.IsZero() && created.Add(time.Second).Before(moment.Time)
}

func decideDelete(head *Head, seen sight, same bool, sighting audit.Sighting) ledger.Judgement {
	switch {
	case !same:
		return persisted
	case len(head.Evidence) > 0:
		// The last finalizer's removal: the object should be gone, and may have come to it.
		if sighting == audit.SawAfter {
			return persisted
		}
		return notPersisted
	case seen.meta.DeletionTimestamp != nil:
		return persisted
	case head.Resource.UID == "" && seen.meta.CreationTimestamp.After(head.Time.Time):
		// An eviction does not name the pod's uid; this is a later pod of the same name.
		return persisted
	default:
		return notPersisted
	}
}

func decideUpdate(head *Head, seen sight, same bool, sighting audit.Sighting) ledger.Judgement {
	switch {
	case !same:
		return goneSince
	case seen.meta.ResourceVersion == head.Resource.ResourceVersion:
		return notPersisted
	case sighting == audit.SawAfter:
		return persisted
	case sighting == audit.SawBefore:
		return notPersisted
	default:
		return overwritten
	}
}

// decideByLater judges an event by later events of the same object, whose old object shows what became of it. Only
// an old object that is newer than the one this change was based on tells: a change whose base was replaced can no
// longer be made.
func decideByLater(digester audit.Digester, event *Event, later []*Event) (ledger.Judgement, bool) {
	if event.Head.Action == v1alpha1.ActionDelete {
		return decideDeleteByLater(event, later)
	}
	for _, next := range later {
		if next.Head.Resource.ResourceVersion == "" {
			continue
		}
		if event.Head.Action == v1alpha1.ActionCreate {
			return persisted, true
		}
		if !newer(next.Head.Resource.ResourceVersion, event.Head.Resource.ResourceVersion) {
			continue
		}
		switch sightLater(digester, event, next) {
		case audit.SawAfter:
			return persisted, true
		case audit.SawBefore:
			return notPersisted, true
		case audit.SawNeither:
		}
	}
	return ledger.Judgement{}, false
}

// decideDeleteByLater: an object that is there later, on a newer base and with no deletion asked for, was not deleted
// by a request that was based on the older one. Such a request is tried again, with an event of its own.
func decideDeleteByLater(event *Event, later []*Event) (ledger.Judgement, bool) {
	if event.Head.Resource.DeletionTime != nil || event.Head.Resource.ResourceVersion == "" {
		return ledger.Judgement{}, false
	}
	for _, next := range later {
		if !newer(next.Head.Resource.ResourceVersion, event.Head.Resource.ResourceVersion) {
			continue
		}
		if next.Head.Resource.DeletionTime != nil {
			return persisted, true
		}
		return notPersisted, true
	}
	return ledger.Judgement{}, false
}

func newer(version, than string) bool {
	a, errA := parseVersion(version)
	b, errB := parseVersion(than)
	return errA == nil && errB == nil && a > b
}

// sightLater looks for the event's evidence in what the next event says of its old object.
func sightLater(digester audit.Digester, event, next *Event) audit.Sighting {
	was := make(map[string]string, len(next.Head.Evidence))
	for i := range next.Head.Evidence {
		was[next.Head.Evidence[i].Path] = next.Head.Evidence[i].Was
	}
	for i := range event.Head.Evidence {
		evidence := &event.Head.Evidence[i]
		digest, shared := was[evidence.Path]
		switch {
		case !shared:
		case digest == evidence.Digest:
			return audit.SawAfter
		case digest == evidence.Was:
			return audit.SawBefore
		}
	}
	if next.Head.Action != v1alpha1.ActionDelete {
		return audit.SawNeither
	}
	sighting, err := audit.Sight(digester, event.Head.Evidence, removedObject(next.Spec))
	if err != nil {
		return audit.SawNeither
	}
	return sighting
}

// removedObject is the object that a Delete's event shows; nil when it does not.
func removedObject(spec []byte) []byte {
	var deleted struct {
		Object  *runtime.RawExtension `json:"object"`
		Changes []v1alpha1.Change     `json:"changes"`
	}
	if json.Unmarshal(spec, &deleted) != nil {
		return nil
	}
	if deleted.Object != nil {
		return deleted.Object.Raw
	}
	if len(deleted.Changes) == 1 && deleted.Changes[0].From != nil && *deleted.Changes[0].Path == "" {
		return deleted.Changes[0].From.Raw
	}
	return nil
}
