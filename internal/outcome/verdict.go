package outcome

import (
	"time"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// Verdict is a judgement, and what it rests on.
type Verdict struct {
	ledger.Judgement
	// EndsAfter is a moment by which the event's request has ended, if something speaks against the change that may only not have been made
	// yet: other webhooks are asked at the same time, and the change is made when the last has answered. It is zero where that does not matter.
	EndsAfter time.Time
	// seen is what a consistent read showed; nil when the judgement needed none.
	seen *objects.Sight
	// track is what followed; nil when nobody looked.
	track *track
}

// IsOpen says that events that were recorded before the read, and are known only later, may tell more: always of what was
// not found, and of what was because somebody else may have done the same, however old the change is by then. following says that
// what was recorded up to now becomes known, as it does not in a backlog.
func (v *Verdict) IsOpen(event *recorded.Event, following bool) bool {
	return v.seen != nil && (v.Outcome != v1alpha1.OutcomePersisted || event.Head.Action != v1alpha1.ActionCreate && following)
}

// IsOnlyRead says that nothing but a read speaks against the change, and events that are not known yet may speak for it. That another
// object has had the name since before a creation is enough.
func (v *Verdict) IsOnlyRead(event *recorded.Event) bool {
	held := event.Head.Action == v1alpha1.ActionCreate && v.seen != nil && v.seen.Exists && before(v.seen.Meta.CreationTimestamp, event.Head.Time)
	return v.seen != nil && !held && !isBinding(&event.Head) && SpeaksAgainst(event, v.Judgement) && v.Judgement == notPersisted
}

// endsAfter is the verdict's EndsAfter.
func (j *Judge) endsAfter(event *recorded.Event, known *history, v *Verdict) time.Time {
	if event.MayBeKept == 0 || !SpeaksAgainst(event, v.Judgement) || v.Judgement == notAllowed || v.Judgement == notReadable ||
		j.isTooLateFor(event, known, v.seen) {
		return time.Time{}
	}
	return ended(event)
}

// isTooLateFor says that the change cannot be made any more: the object has gone, or the pod is on a node, or the version that the request
// was validated against has been replaced. The API server then validates it once more, but for what it does whatever the version is.
func (j *Judge) isTooLateFor(event *recorded.Event, known *history, seen *objects.Sight) bool {
	switch {
	case isBinding(&event.Head):
		return seen == nil || !seen.Exists || !j.isUnbound(event, seen.Body)
	case event.Head.Action == v1alpha1.ActionUpdate, event.Head.Action == v1alpha1.ActionDelete && !isEviction(event) && !isCompletion(event):
		return seen != nil && !seen.Exists || known.hasPassed(baseOf(event), seen)
	default:
		return false
	}
}

// Unsettled is the judgement of what only a read speaks against, when other events may tell more.
func Unsettled(event *recorded.Event) ledger.Judgement {
	if event.Head.Action == v1alpha1.ActionUpdate {
		return overwritten
	}
	return goneSince
}

// SpeaksAgainst says that the judgement was made in this run and not in favour of the change.
func SpeaksAgainst(event *recorded.Event, judgement ledger.Judgement) bool {
	return event.Status.Outcome == "" && judgement.Outcome != "" && judgement.Outcome != v1alpha1.OutcomePersisted
}
