package outcome

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/pause"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

const (
	// readers is how many objects are read at once for one trail.
	readers = 8
	// readTries bounds the reads for one event when they fail: a kind whose API server is away must not stop the trail.
	readTries = 3
)

// Options are what a judge needs.
type Options struct {
	// Objects are the objects that events speak of.
	Objects objects.Reader
	// Digester compares evidence; its key is the recorders'.
	Digester audit.Digester
	Clock    clock.PassiveClock
	// Settle is how long after its recording an event is due.
	Settle time.Duration
	// DeletesAreRecorded says whether the trail's rules ask for every deletion of such objects.
	DeletesAreRecorded func(ref *v1alpha1.ResourceReference) bool
	// NothingMissed says whether all that the trail asks for was recorded since a moment.
	NothingMissed func(ref *v1alpha1.ResourceReference, since time.Time) bool
	// Unrecorded says since when changes may have gone unrecorded that the trail asks for, at a moment or later; zero when none did.
	Unrecorded func(ref *v1alpha1.ResourceReference, moment time.Time) time.Time
	// StalledUntil is until when a change of a moment may have waited, because the API server stored nothing; zero when it did not.
	StalledUntil func(moment time.Time) time.Time
	// StallsKnown says whether StalledUntil knows of a moment.
	StallsKnown func(moment time.Time) bool
	// MayBeKept is for how long other webhooks may keep such a change, at most, after the recorder has answered.
	MayBeKept func(ref *v1alpha1.ResourceReference, action v1alpha1.Action) time.Duration
	// SlowWebhooks are the times in which other webhooks were seen to be slow.
	SlowWebhooks *SlowWebhooks
	// Forgotten is the latest moment of which a judged event was forgotten because of its age.
	Forgotten func() time.Time
}

// Judge finds out whether the changes of one trail stuck.
type Judge struct {
	Options

	// keeping says that a glance may serve several calls, and kept is that glance.
	keeping bool
	kept    *glance

	// forbidden is where the operator may not read, crowded where it may not list or a list takes too long.
	// trackless is where it may not list, without which objects cannot be followed, unwatched where it may not watch.
	forbidden, crowded, trackless, unwatched places
}

// New returns the judge of one trail's events.
func New(options Options) *Judge { return &Judge{Options: options} }

// All judges events in their order. others are further events that are known. following says that all that was recorded up to now is
// among them, as it is not in a backlog.
func (j *Judge) All(ctx context.Context, events, others []recorded.Event, following bool) ([]Verdict, error) {
	verdicts, histories, err := j.all(ctx, events, others, following)
	if err == nil && following && j.noteSlowWebhooks(ctx, events, histories, verdicts) {
		verdicts, _, err = j.all(ctx, events, others, following)
	}
	return verdicts, err
}

// all also returns what is known of the events' objects.
func (j *Judge) all(ctx context.Context, events, others []recorded.Event, following bool) ([]Verdict, map[string]*history, error) {
	histories := j.histories(events, others)
	verdicts := make([]Verdict, len(events))
	var open []openCase
	for i := range events {
		event := &events[i]
		known := histories[event.Head.Resource.UID]
		judged, ok := j.withoutReading(event, known)
		if verdicts[i].Judgement = judged; !ok {
			open = append(open, openCase{event, known, &verdicts[i]})
		}
	}
	looks := j.glanceFor(open)
	j.survey(ctx, looks, open)
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for _, c := range open {
		group.Go(func() (err error) {
			*c.verdict, err = j.byReading(reading, looks, c.event, c.known)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	if !following {
		if err := j.lookSoonAfter(ctx, events, histories, verdicts); err != nil {
			return nil, nil, err
		}
	}
	if err := j.lookBack(ctx, events, histories, verdicts); err != nil {
		return nil, nil, err
	}
	if err := j.lookWhenBound(ctx, events, histories, verdicts); err != nil {
		return nil, nil, err
	}
	for i := range events {
		verdicts[i].EndsAfter = j.endsAfter(&events[i], histories[events[i].Head.Resource.UID], &verdicts[i])
	}
	return verdicts, histories, nil
}

// openCase is an event that only a look at its object can judge, what is known of the object, and where the verdict goes.
type openCase struct {
	event   *recorded.Event
	known   *history
	verdict *Verdict
}

// Again judges once more what is open, with what is known by now.
func (j *Judge) Again(events, others []recorded.Event, verdicts []Verdict, following bool) {
	histories := j.histories(events, others)
	for i := range verdicts {
		// An eviction may be of another pod by what is known now.
		uid := events[i].Head.Resource.UID
		if t := verdicts[i].track; t != nil && string(t.last().Meta.UID) == uid {
			histories[uid].track = t
		}
	}
	for i := range verdicts {
		if verdicts[i].IsOpen(&events[i], following) {
			verdicts[i].Judgement = j.decide(&events[i], histories[events[i].Head.Resource.UID], *verdicts[i].seen)
		}
	}
}

// histories are what the events and the others show of the events' objects, by the object's uid.
func (j *Judge) histories(events, others []recorded.Event) map[string]*history {
	all := together(events, others)
	j.reckonWaiting(all)
	inOrder(all)
	noteSlowness(all)
	for _, event := range all {
		event.Overdue = event.Late && event.Head.Time.Time.Before(j.Forgotten())
	}
	// What came while a backlog was listed is in the list and in the inbox.
	all = slices.CompactFunc(all, func(a, b *recorded.Event) bool { return a.NamespacedName == b.NamespacedName && a.Name != "" })
	findPods(all)
	findUpserts(all)
	findRivalBindings(all)
	findBoundPods(all)
	evictions := byName(all, isEviction)
	byObject := make(map[string][]*recorded.Event, len(events))
	for i := range events {
		byObject[events[i].Head.Resource.UID] = nil
	}
	for _, event := range all {
		uid := event.Head.Resource.UID
		// A part that is created, such as a binding, is none of the object's versions.
		if same, asked := byObject[uid]; asked && (event.Head.Action != v1alpha1.ActionCreate || creates(&event.Head)) {
			byObject[uid] = append(same, event)
		}
	}
	histories, revisions := make(map[string]*history, len(byObject)), newRevisions(all)
	for uid, same := range byObject {
		if uid == "" {
			same = nil // These have nothing in common.
		}
		histories[uid] = newHistory(j.Digester, same)
		histories[uid].revisions = revisions
		if len(same) > 0 {
			histories[uid].namesakes = evictions[objectName(same[0])]
		}
	}
	return histories
}

// withoutReading judges what needs no look at the object: what does not apply, what was judged before a crash, and
// what other events of the same object prove.
func (j *Judge) withoutReading(event *recorded.Event, known *history) (ledger.Judgement, bool) {
	switch {
	case !applies(&event.Head):
		return ledger.Judgement{}, true
	case event.Head.Actor.Type == v1alpha1.ActorUnknown:
		return persisted, true // It was seen because it had been made.
	case event.Status.Outcome != "":
		return ledger.Judgement{Outcome: event.Status.Outcome, Message: event.Status.Message}, true
	case isBinding(&event.Head):
		return ledger.Judgement{}, false
	case event.Followed && creates(&event.Head):
		return persisted, true
	case findsNone(event):
		return foundGoing, true
	}
	switch j.fate(event, known) {
	case made:
		return persisted, true
	case notMade:
		return notPersisted, true
	case contest:
		return contested, true
	default:
		return ledger.Judgement{}, false
	}
}

// byReading looks at the object: first in the API server's cache, where being there is proof enough, then
// consistently. It fails when the API server cannot be asked.
func (j *Judge) byReading(ctx context.Context, looks *glance, event *recorded.Event, known *history) (Verdict, error) {
	ref := &event.Head.Resource
	if j.forbidden.has(ref, j.Clock.Now()) {
		return Verdict{Judgement: notAllowed}, nil
	}
	for try := range readTries {
		cached := try == 0
		seen, err := looks.read(ctx, ref, needsBody(&event.Head), !cached)
		switch {
		case apierrors.IsForbidden(err):
			j.forbidden.add(ref, j.Clock.Now())
			return Verdict{Judgement: notAllowed}, nil
		case apierrors.IsMethodNotSupported(err), errors.Is(err, objects.ErrNoSuchKind):
			return Verdict{Judgement: notReadable}, nil
		case err != nil && apierrors.ReasonForError(err) == metav1.StatusReasonUnknown && ctx.Err() == nil && try >= readTries-1:
			return Verdict{}, err
		case err != nil:
			pause.For(ctx, time.Duration(try)*time.Second)
			continue
		}
		judged := j.decide(event, known, seen)
		switch {
		case !cached:
			return Verdict{Judgement: judged, seen: &seen}, nil
		case judged == persisted && event.Head.Action != v1alpha1.ActionDelete:
			return Verdict{Judgement: judged, seen: &seen}, nil
		}
		// What the cache does not show may exist: only a consistent read speaks against a change.
	}
	return Verdict{Judgement: notReadable}, nil
}

// decide judges by what is known and what was read.
func (j *Judge) decide(event *recorded.Event, known *history, seen objects.Sight) ledger.Judgement {
	if isBinding(&event.Head) {
		return j.decideBinding(event, seen)
	}
	ref := &event.Head.Resource
	complete := !event.Overdue && j.NothingMissed(ref, event.Head.Time.Time)
	if ref.UID != "" {
		switch j.fate(event, known.with(seen, ref.UID, complete)) {
		case made:
			return persisted
		case notMade:
			return notPersisted
		case contest:
			return contested
		case unsure:
		}
	}
	// An eviction that found no pod, or another one, may have found this one a moment later.
	found := complete && j.DeletesAreRecorded(ref) && len(known.evictions) == 0 && !known.mayHaveBeenEvicted(event)
	return decide(&event.Head, seen, found)
}
