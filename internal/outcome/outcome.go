package outcome

import (
	"time"

	"github.com/go-json-experiment/json"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// Verdicts, with what a reader should know about them.
var (
	persisted    = ledger.Judgement{Outcome: v1alpha1.OutcomePersisted}
	notPersisted = ledger.Judgement{Outcome: v1alpha1.OutcomeNotPersisted, Message: "The change was admitted but not made: a later check, a quota or a conflict refused it"}
	foundGoing   = ledger.Judgement{Outcome: v1alpha1.OutcomeNotPersisted, Message: "The pod was going already: the API server may have ended it, and answers that there is none"}
	goneSince    = ledger.Judgement{Outcome: v1alpha1.OutcomeUnknown, Message: "The object was gone before the change could be confirmed"}
	contested    = ledger.Judgement{Outcome: v1alpha1.OutcomeUnknown, Message: "Somebody else asked for the same at the same time, and only one of the two was made"}
	overwritten  = ledger.Judgement{Outcome: v1alpha1.OutcomeUnknown, Message: "The object was changed again before the change could be confirmed"}
	notAllowed   = ledger.Judgement{Outcome: v1alpha1.OutcomeUnknown, Message: "The operator may not read objects of this kind: see the ClusterRole trailkeeper-outcome-reader"}
	notReadable  = ledger.Judgement{Outcome: v1alpha1.OutcomeUnknown, Message: "The object could not be read to confirm the change"}
)

// applies says whether something is stored that can be looked for: not for a connection or a notice, nor for a created
// subresource such as a token, but for an eviction and a binding.
func applies(head *recorded.Head) bool {
	switch head.Action {
	case v1alpha1.ActionConnect, v1alpha1.ActionNotice:
		return false
	case v1alpha1.ActionCreate:
		return creates(head) || isBinding(head)
	default:
		return true
	}
}

// needsBody says whether the judgement depends on more than the object's metadata.
func needsBody(head *recorded.Head) bool { return len(head.Evidence) > 0 }

// decide judges what a consistent read of the object did not decide. deletesAreRecorded says that the trail has an event
// for every deletion of such an object; none was found.
func decide(head *recorded.Head, seen objects.Sight, deletesAreRecorded bool) ledger.Judgement {
	switch {
	case head.Action == v1alpha1.ActionCreate && (deletesAreRecorded || seen.Exists && before(seen.Meta.CreationTimestamp, head.Time)):
		// An object that was there before has had the name ever since.
		return notPersisted
	case head.Action == v1alpha1.ActionDelete && head.Resource.UID == "":
		return decideEviction(head, seen)
	case seen.Exists && string(seen.Meta.UID) == head.Resource.UID:
		return overwritten
	default:
		return goneSince
	}
}

// before says that something was surely created before a moment: creation timestamps are cut to seconds.
func before(created metav1.Time, moment metav1.MicroTime) bool {
	return !created.IsZero() && created.Add(time.Second).Before(moment.Time)
}

// sightLater looks for the event's evidence in what another event says of its old object; shown says whether that shows
// any of it.
func sightLater(digester audit.Digester, event, next *recorded.Event) (sighting audit.Sighting, shown bool) {
	was := make(map[string]string, len(next.Head.Evidence))
	for i := range next.Head.Evidence {
		was[next.Head.Evidence[i].Path] = next.Head.Evidence[i].Was
	}
	after, before := true, true
	for i := range event.Head.Evidence {
		evidence := &event.Head.Evidence[i]
		if digest, shared := was[evidence.Path]; shared {
			shown = true
			after, before = after && digest == evidence.Digest, before && digest == evidence.Was
		}
	}
	switch {
	case shown && after:
		return audit.SawAfter, true
	case shown && before:
		return audit.SawBefore, true
	case shown || next.Head.Action != v1alpha1.ActionDelete:
		return audit.SawNeither, shown
	}
	removed := removedObject(next.Spec)
	if removed == nil {
		return audit.SawNeither, false
	}
	sighting, err := audit.Sight(digester, event.Head.Evidence, removed)
	if err != nil {
		return audit.SawNeither, false
	}
	return sighting, true
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
