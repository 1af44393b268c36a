package truth

import (
	"slices"
	"strings"
	"time"

	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

func (l *log) readDelete(entry *testenv.AuditEntry, a *answer) {
	uid := uidOf(a)
	since, evicted := l.evictedBefore(entry)
	deleting := l.objects.wasDeleting(uid, entry) || evicted && since.Before(entry.StageTimestamp)
	if _, now := l.objects.find(uid, a.version); now != nil && now.entry != entry {
		if isKubelet(now.entry) && meet(now.entry, entry) {
			l.add(entry, a, func(f *Fact) { f.Doubt = "the kubelet ended the pod at the same time" })
		}
		return // It was being deleted, and nothing about that changed.
	}
	if deleting && isKubelet(entry) {
		return // The kubelet ends what somebody else asked for.
	}
	askedBefore := !a.isGone() && l.wasAskedBefore(entry, a)
	if askedBefore && entry.ObjectRef.Resource != "pods" {
		return // A request that the log does not show had it deleted.
	}
	l.add(entry, a, func(f *Fact) {
		switch {
		case askedBefore:
			f.Doubt = "it may only have hastened a deletion"
		case l.mayBeWiped(entry, a):
			f.Doubt = "a request that deleted many objects may have come first"
		}
		if evicted && since.After(entry.RequestReceivedTimestamp.Add(-settled)) {
			f.Doubt = "it was evicted just before, which the log does not show"
		}
	})
}

func isKubelet(entry *testenv.AuditEntry) bool {
	return strings.HasPrefix(userOf(entry).Username, "system:node:")
}

// meet says that two requests went on at the same time.
func meet(a, b *testenv.AuditEntry) bool {
	return a.RequestReceivedTimestamp.Before(b.StageTimestamp) && b.RequestReceivedTimestamp.Before(a.StageTimestamp)
}

// wasAskedBefore says that the object was to be deleted at the very same time already, or that this was asked for before
// the request came.
func (l *log) wasAskedBefore(entry *testenv.AuditEntry, a *answer) bool {
	const second = time.Second // Times of deletion are cut to it.
	if a.Metadata.DeletionTimestamp == nil {
		return false
	}
	before, _ := l.objects.find(uidOf(a), a.version)
	if before != nil && before.deleting {
		// A further deletion may still change what becomes of the dependents.
		return before.deletion.Equal(a.Metadata.DeletionTimestamp.Time) && slices.Equal(before.finalizers, a.Metadata.Finalizers)
	}
	return a.deletionAsked().Before(entry.RequestReceivedTimestamp.Add(-second))
}

func (l *log) readDeleteCollection(entry *testenv.AuditEntry, a *answer) {
	for i := range a.Items {
		item := &a.Items[i].Metadata
		l.add(entry, a, func(f *Fact) {
			f.Name, f.UID, f.asked.Name = item.Name, string(item.UID), item.Name
			switch {
			case item.DeletionTimestamp != nil:
				f.Doubt = "it was being deleted"
			case len(l.deletions[f.UID]) > 0:
				f.Doubt = "somebody else deleted it too"
			}
		})
	}
}

// isDeletedMeanwhile says that somebody deleted the object while the request went on.
func (l *log) isDeletedMeanwhile(entry *testenv.AuditEntry, a *answer) bool {
	return slices.ContainsFunc(l.deletions[uidOf(a)], func(other *testenv.AuditEntry) bool {
		return meet(other, entry)
	})
}

// mayBeWiped says that the object's deletion may have been asked for by a request that deleted many objects: one that shows it, or
// failed and so shows none.
func (l *log) mayBeWiped(entry *testenv.AuditEntry, a *answer) bool {
	asked := a.deletionAsked() // Cut to the second.
	return !asked.IsZero() && slices.ContainsFunc(l.wipes, func(wipe *testenv.AuditEntry) bool {
		return wipe.ObjectRef.Resource == entry.ObjectRef.Resource && wipe.ObjectRef.Namespace == entry.ObjectRef.Namespace &&
			wipe.RequestReceivedTimestamp.Before(asked.Add(time.Second)) && wipe.StageTimestamp.After(asked) &&
			wipe.RequestReceivedTimestamp.Before(entry.StageTimestamp) &&
			(!succeeded(wipe) || l.answers[wipe].shows(uidOf(a)))
	})
}
