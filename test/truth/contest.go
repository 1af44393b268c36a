package truth

import (
	"net/http"
	"time"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// near is how close two requests must be for nobody to be able to tell which of them made the change of both.
const near = 120 * time.Millisecond

// contest adds what may be said of requests that changed nothing while somebody else changed the same object: admission
// shows the two alike.
func (l *log) contest(changing []*testenv.AuditEntry) {
	type place struct{ group, resource, namespace, name string }
	placeOf := func(entry *testenv.AuditEntry) place {
		ref := &entry.ObjectRef
		return place{ref.APIGroup, ref.Resource, ref.Namespace, ref.Name}
	}
	changed := map[place][]*Fact{}
	did := map[*testenv.AuditEntry]bool{}
	for i := range l.facts {
		f := &l.facts[i]
		did[f.Entry] = true
		changed[placeOf(f.Entry)] = append(changed[placeOf(f.Entry)], f)
	}
	var contested []*testenv.AuditEntry
	for _, entry := range changing {
		if did[entry] || entry.Verb == "create" && entry.ObjectRef.Subresource != "eviction" || isDryRun(entry) || entry.ResponseStatus.Code == http.StatusForbidden && !refusedByWebhook(entry) {
			continue
		}
		for _, f := range changed[placeOf(entry)] {
			if f.Users[0] != userOf(entry).Username &&
				f.Entry.RequestReceivedTimestamp.Before(entry.StageTimestamp.Add(near)) &&
				entry.RequestReceivedTimestamp.Before(f.Entry.StageTimestamp.Add(near)) {
				contested = append(contested, entry)
				break
			}
		}
	}
	for _, entry := range contested {
		l.add(entry, l.answers[entry], func(f *Fact) {
			f.Contested, f.Doubt = true, "somebody else changed it at the same time"
			if entry.Verb == "create" {
				f.Action = v1alpha1.ActionDelete
			}
		})
	}
}
