package truth

import (
	"net/http"
	"time"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	// near is how close two requests must be for nobody to be able to tell which of them made the change of both.
	near = 550 * time.Millisecond
	// settled is until when an object must stay for its events to be judged by it.
	settled = 6 * time.Second
)

// place is an object by its name.
type place struct{ group, resource, namespace, name string }

func placeOf(entry *testenv.AuditEntry) place {
	ref := &entry.ObjectRef
	return place{ref.APIGroup, ref.Resource, ref.Namespace, ref.Name}
}

// contest adds what may be said of requests that changed nothing: an event of such a request may be Unknown, and no more,
// when admission shows it like somebody else's that was made at the same time, or when the object was gone before anybody
// could look.
func (l *log) contest(changing []*testenv.AuditEntry) {
	changed, removed := map[place][]*testenv.AuditEntry{}, map[place][]*testenv.AuditEntry{}
	did := map[*testenv.AuditEntry]bool{}
	for i := range l.facts {
		f := &l.facts[i]
		did[f.Entry] = true
		at := placeOf(f.Entry)
		at.name = f.Name
		changed[at] = append(changed[at], f.Entry)
		if f.Action == v1alpha1.ActionDelete {
			removed[at] = append(removed[at], f.Entry)
		}
	}
	for _, entry := range changing {
		if entry.Verb == "delete" && succeeded(entry) {
			removed[placeOf(entry)] = append(removed[placeOf(entry)], entry)
		}
	}
	for _, entry := range changing {
		switch {
		case did[entry] || !mayBeContested(entry):
		case l.isContested(entry, changed[placeOf(entry)]):
			l.addContested(entry, "somebody else changed it at the same time")
		case isGoneSoon(entry, removed[placeOf(entry)]):
			l.addContested(entry, "it was gone before anybody could look")
		}
	}
}

// mayBeContested says that the request came as far as admission, and was about an object that was there.
func mayBeContested(entry *testenv.AuditEntry) bool {
	eviction := entry.ObjectRef.Subresource == "eviction"
	unauthorized := entry.ResponseStatus.Code == http.StatusForbidden && !refusedByWebhook(entry)
	return (entry.Verb != "create" || eviction) && entry.Verb != "deletecollection" && !isDryRun(entry) && !unauthorized
}

func (l *log) isContested(entry *testenv.AuditEntry, changes []*testenv.AuditEntry) bool {
	for _, other := range changes {
		if userOf(other).Username != userOf(entry).Username &&
			other.RequestReceivedTimestamp.Before(entry.StageTimestamp.Add(near)) &&
			entry.RequestReceivedTimestamp.Before(other.StageTimestamp.Add(near)) {
			return true
		}
	}
	return false
}

func isGoneSoon(entry *testenv.AuditEntry, removals []*testenv.AuditEntry) bool {
	for _, removal := range removals {
		apart := removal.StageTimestamp.Sub(entry.RequestReceivedTimestamp)
		if entry.Verb != "delete" && apart > 0 && apart < settled {
			return true
		}
	}
	return false
}

func (l *log) addContested(entry *testenv.AuditEntry, why string) {
	for _, action := range []v1alpha1.Action{actions[entry.Verb], v1alpha1.ActionDelete} {
		l.add(entry, l.answers[entry], func(f *Fact) { f.Contested, f.Doubt, f.Action = true, why, action })
	}
}
