package recorder

import (
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

// entry is a webhook entry that calls the recorder. Exactly one entry records a request for a trail.
type entry struct {
	policy v1alpha1.FailurePolicy
	// notes says that the entry is for notes on AuditEvents.
	notes bool
	// attempts says that the entry is for attempts on the record, which the policies refuse afterwards.
	attempts bool
}

// appendMatches appends what this entry records of a request. A note belongs to the trail of the event that it is
// written on, by the entry of notes; that trail's rules may want it as well, but do not record it twice.
func (e entry) appendMatches(dst []rules.Match, set *rules.Set, request *admissionv1.AdmissionRequest, asked *rules.Request) []rules.Match {
	if e.attempts {
		if !isAttempt(request, asked) {
			return dst
		}
		return set.AppendAttemptMatches(dst, asked)
	}
	var owner types.UID
	if rules.IsNote(asked) {
		owner = trailOfEvent(request.OldObject.Raw)
	}
	if e.notes {
		return set.AppendNoteMatch(dst, asked, owner)
	}
	return slices.DeleteFunc(set.AppendMatches(dst, asked), func(match rules.Match) bool {
		return match.FailurePolicy != e.policy || owner != "" && match.Trail.UID == owner
	})
}

// trailOfEvent is the uid of the trail that an AuditEvent belongs to. The stored spec is immutable, so nobody but the
// operator chose it.
func trailOfEvent(raw []byte) types.UID {
	var event struct {
		Spec struct {
			TrailRef struct {
				UID types.UID `json:"uid"`
			} `json:"trailRef"`
		} `json:"spec"`
	}
	if json.Unmarshal(raw, &event, jsontext.AllowInvalidUTF8(true)) != nil {
		return ""
	}
	return event.Spec.TrailRef.UID
}
