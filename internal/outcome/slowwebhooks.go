package outcome

import (
	"context"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

const (
	// slowAfter is how long after its event a change was made at least where other webhooks are slow: whoever asks for the same again within a
	// second of being refused has the first event for both.
	slowAfter = unversioned + time.Second
	// slowBefore and slowFor are for how long before and after a change that was made late other webhooks count as slow.
	slowBefore = time.Minute
	slowFor    = 10 * time.Minute
	// maxTimed bounds how many objects are followed, of events that are judged together, only to learn when they were changed.
	maxTimed = 8
)

// SlowWebhooks remembers when other webhooks were seen to be slow. While they are not, requests that met each other are told apart by
// fractions of a second; while they are, by how long they may take. The zero value has seen nothing.
type SlowWebhooks struct {
	mu       sync.Mutex
	from, to time.Time
}

// note notes a moment at which they were, and says whether that was not known.
func (s *SlowWebhooks) note(moment time.Time) (learned bool) {
	if s.at(moment) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if from := moment.Add(-slowBefore); from.After(s.to) || s.from.IsZero() {
		s.from = from
	}
	s.to = later(s.to, moment.Add(slowFor))
	return true
}

func (s *SlowWebhooks) at(moment time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return moment.After(s.from) && moment.Before(s.to)
}

// noteSlowWebhooks notes the updates that were made long after their events, by the versions that followed their own, and says whether
// other webhooks were not known to be slow at the time. All that was recorded up to now must be among what is known: who asked for the
// same once more may have made it.
func (j *Judge) noteSlowWebhooks(ctx context.Context, events []recorded.Event, histories map[string]*history, verdicts []Verdict) (learned bool) {
	for i := range events {
		event, known := &events[i], histories[events[i].Head.Resource.UID]
		if verdicts[i].Outcome == v1alpha1.OutcomeNotPersisted || !known.isTracked(event) || !j.tellsTime(event, known) || !known.wasMadeLate(event) ||
			!j.SlowWebhooks.note(event.Head.Time.Time) {
			continue
		}
		learned = true
		log.FromContext(ctx).Info("Other webhooks kept a change for seconds: reckoning with their time-outs",
			"event", event.String(), "timeout", event.MayBeKept.String(), "for", slowFor.String())
	}
	return learned
}

// tellsTime says that the time between an event and its change is what other webhooks took, if it is long. A trail that does not even ask
// for every deletion may not know who else made it.
func (j *Judge) tellsTime(event *recorded.Event, known *history) bool {
	ref := &event.Head.Resource
	return event.Head.Action == v1alpha1.ActionUpdate && len(event.Head.Evidence) > 0 && baseOf(event) != 0 &&
		event.MayBeKept > 0 && event.Kept == 0 && !event.Late && !event.Unwatched && event.HeldUntil.IsZero() &&
		event.Slow <= race && len(known.rivals(event)) == 0 && j.NothingMissed(ref, event.Head.Time.Time) && j.DeletesAreRecorded(ref)
}

// wasMadeLate says that a followed object had a version of the event's own until long after it, and then the one that it asked for.
func (h *history) wasMadeLate(event *recorded.Event) bool {
	next := h.track.after(baseOf(event))
	if next == nil {
		return false
	}
	h = h.with(h.track.now(), event.Head.Resource.UID, true)
	sighting, err := audit.Sight(h.digester, event.Head.Evidence, next.Body)
	return err == nil && sighting == audit.SawAfter && h.isLate(event, next.number, h.doneAt(event, next))
}

// wantsTime says that when the event's change was made would tell whether other webhooks are slow: nobody is known to have seen the change
// until long after it.
func (j *Judge) wantsTime(event *recorded.Event, known *history, v *Verdict) bool {
	if v.Judgement != persisted || event.Status.Outcome != "" || !j.tellsTime(event, known) || j.trackless.has(&event.Head.Resource, j.Clock.Now()) {
		return false
	}
	var written time.Time
	if v.seen != nil {
		known, written = known.with(*v.seen, event.Head.Resource.UID, true), v.seen.Meta.Written
	}
	next, replaced := known.next(baseOf(event))
	return replaced && known.isLate(event, next.number, written)
}

// isLate says that a version was made long after an event, by other events or by what is exact to the second, and not longer than webhooks
// may take. An event of after that must be known: then those of before it are, and with them whoever else may have made it.
func (h *history) isLate(event *recorded.Event, number uint64, done time.Time) bool {
	if !h.ordered || h.revisions.madeBy(number).IsZero() {
		return false
	}
	at, passed := event.Head.Time.Time, h.revisions.passedBy(number)
	return (passed.Sub(at) > slowAfter || done.Sub(at) > lateFor) && later(passed, done).Before(ended(event))
}
