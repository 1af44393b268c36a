package truth

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// around is how long before and after a difference others may explain it.
const around = 10 * time.Second

// Around shows what the log and the events say of the objects that differ, at that time and in its order, for up to a number of
// differences.
func (d *Difference) Around(limit int, entries []testenv.AuditEntry, claims []Claim) string {
	var shown []string
	show := func(namespace, name string, at time.Time) {
		if text := aroundOne(namespace, name, at, entries, claims); len(shown) < limit && !slices.Contains(shown, text) {
			shown = append(shown, text)
		}
	}
	for i := range d.Missed {
		show(d.Missed[i].Namespace, d.Missed[i].Name, d.Missed[i].Entry.RequestReceivedTimestamp)
	}
	for _, claim := range slices.Concat(d.Extra, d.Duplicated) {
		show(claim.Spec.Resource.Namespace, claim.Spec.Resource.Name, claim.Spec.Time.Time)
	}
	return strings.Join(shown, "\n\n")
}

func aroundOne(namespace, name string, at time.Time, entries []testenv.AuditEntry, claims []Claim) string {
	type line struct {
		at   time.Time
		text string
	}
	var lines []line
	for i := range entries {
		entry := &entries[i]
		ref, received := &entry.ObjectRef, entry.RequestReceivedTimestamp
		if ref.Namespace == namespace && (ref.Name == name || entry.Verb == "deletecollection") && at.Sub(received).Abs() < around {
			lines = append(lines, line{received, fmt.Sprintf("log   %s-%s %s %s %s/%s %d %s", clockOf(received), clockOf(entry.StageTimestamp),
				entry.User.Username, entry.Verb, ref.Resource, ref.Subresource, entry.ResponseStatus.Code, entry.ResponseStatus.Message)})
		}
	}
	for i := range claims {
		claim := &claims[i]
		if r := &claim.Spec.Resource; r.Namespace == namespace && r.Name == name && at.Sub(claim.Spec.Time.Time).Abs() < around {
			lines = append(lines, line{claim.Spec.Time.Time, "event " + claim.String()})
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Or(a.at.Compare(b.at), strings.Compare(a.text, b.text)) })
	text := namespace + "/" + name
	for _, l := range lines {
		text += "\n  " + l.text
	}
	return text
}
