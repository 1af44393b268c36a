package delivery

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
)

const (
	// readers is how many objects are read at once for one trail.
	readers = 8
	// readTries bounds the reads for one event when they fail: a kind whose API server is away must not stop the trail.
	readTries = 3
)

// reader is how the judge sees objects.
type reader interface {
	read(ctx context.Context, ref *v1alpha1.ResourceReference, whole, consistent bool) (sight, error)
	survey(ctx context.Context, ref *v1alpha1.ResourceReference, revision uint64, whole bool, wanted map[string]bool,
		visit func(name string, seen sight)) (complete bool, err error)
	at(ctx context.Context, ref *v1alpha1.ResourceReference, revision uint64) (seen sight, shown uint64, err error)
	shareRevisions(ctx context.Context, ref *v1alpha1.ResourceReference) error
	appeared(ctx context.Context, refs []*v1alpha1.ResourceReference, since uint64) (map[string]bool, error)
	// ready fails when the API server does not even let the operator read its own events.
	ready(ctx context.Context) error
}

// judge finds out whether changes stuck.
type judge struct {
	objects  reader
	digester audit.Digester
	clock    clock.PassiveClock
	// deletesAreRecorded says whether the trail's rules ask for every deletion of such objects.
	deletesAreRecorded func(ref *v1alpha1.ResourceReference) bool
	// nothingMissed says whether all that the trail asks for was recorded since a moment.
	nothingMissed func(ref *v1alpha1.ResourceReference, since time.Time) bool

	// unrecorded is Options.Unrecorded.
	unrecorded func(ref *v1alpha1.ResourceReference, moment time.Time) time.Time

	// stalledUntil is Options.StalledUntil.
	stalledUntil func(moment time.Time) time.Time

	// forgotten is the latest moment of which a judged event was forgotten because of its age.
	forgotten func() time.Time

	// settle is how long after its recording an event is due.
	settle time.Duration

	// keeping says that a glance may serve several calls, and kept is that glance.
	keeping bool
	kept    *glance

	// forbidden is where the operator may not read, crowded where it may not list or a list takes too long.
	// trackless is where it may not list, without which objects cannot be followed, unwatched where it may not watch.
	forbidden, crowded, trackless, unwatched places
}

// verdict is a judgement, and what it rests on.
type verdict struct {
	ledger.Judgement
	// seen is what a consistent read showed; nil when the judgement needed none.
	seen *sight
	// track is what followed; nil when nobody looked.
	track *track
}

// isOpen says that events that were recorded before the read, and are known only later, may tell more: always of what was
// not found, and of what was because somebody else may have done the same, however old the change is by then. following says that
// what was recorded up to now becomes known, as it does not in a backlog.
func (v *verdict) isOpen(event *Event, following bool) bool {
	return v.seen != nil && (v.Outcome != v1alpha1.OutcomePersisted || event.Head.Action != v1alpha1.ActionCreate && following)
}

// all judges events in their order. others are further events that are known. following says that all that was recorded up to now is
// among them, as it is not in a backlog.
func (j *judge) all(ctx context.Context, events, others []Event, following bool) ([]verdict, error) {
	histories := j.histories(events, others)
	verdicts := make([]verdict, len(events))
	var open []openCase
	for i := range events {
		event := &events[i]
		known := histories[event.Head.Resource.UID]
		judged, ok := j.withoutReading(event, known)
		if verdicts[i].Judgement = judged; !ok {
			open = append(open, openCase{event, known, &verdicts[i]})
		}
	}
	objects := j.glanceFor(open)
	j.survey(ctx, objects, open)
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for _, c := range open {
		group.Go(func() (err error) {
			*c.verdict, err = j.byReading(reading, objects, c.event, c.known)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if !following {
		if err := j.lookSoonAfter(ctx, events, histories, verdicts); err != nil {
			return nil, err
		}
	}
	if err := j.lookBack(ctx, events, histories, verdicts); err != nil {
		return nil, err
	}
	return verdicts, j.lookWhenBound(ctx, events, histories, verdicts)
}

// openCase is an event that only a look at its object can judge, what is known of the object, and where the verdict goes.
type openCase struct {
	event   *Event
	known   *history
	verdict *verdict
}

// again judges once more what is open, with what is known by now.
func (j *judge) again(events, others []Event, verdicts []verdict, following bool) {
	histories := j.histories(events, others)
	for i := range verdicts {
		// An eviction may be of another pod by what is known now.
		uid := events[i].Head.Resource.UID
		if t := verdicts[i].track; t != nil && string(t.last().meta.UID) == uid {
			histories[uid].track = t
		}
	}
	for i := range verdicts {
		if verdicts[i].isOpen(&events[i], following) {
			verdicts[i].Judgement = j.decide(&events[i], histories[events[i].Head.Resource.UID], *verdicts[i].seen)
		}
	}
}

// histories are what the events and the others show of the events' objects, by the object's uid.
func (j *judge) histories(events, others []Event) map[string]*history {
	all := together(events, others)
	for _, event := range all {
		event.HeldUntil = j.stalledUntil(event.Head.Time.Time)
	}
	inOrder(all) // It notes how slow the API server was after HeldUntil, too.
	for _, event := range all {
		event.Overdue = event.Late && event.Head.Time.Time.Before(j.forgotten())
	}
	// What came while a backlog was listed is in the list and in the inbox.
	all = slices.CompactFunc(all, func(a, b *Event) bool { return a.NamespacedName == b.NamespacedName && a.Name != "" })
	findPods(all)
	findUpserts(all)
	findRivalBindings(all)
	findBoundPods(all)
	evictions := byName(all, isEviction)
	byObject := make(map[string][]*Event, len(events))
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
		histories[uid] = newHistory(j.digester, same)
		histories[uid].revisions = revisions
		if len(same) > 0 {
			histories[uid].namesakes = evictions[objectName(same[0])]
		}
	}
	return histories
}

// withoutReading judges what needs no look at the object: what does not apply, what was judged before a crash, and
// what other events of the same object prove.
func (j *judge) withoutReading(event *Event, known *history) (ledger.Judgement, bool) {
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
func (j *judge) byReading(ctx context.Context, objects *glance, event *Event, known *history) (verdict, error) {
	ref := &event.Head.Resource
	if j.forbidden.has(ref, j.clock.Now()) {
		return verdict{Judgement: notAllowed}, nil
	}
	for try := range readTries {
		cached := try == 0
		seen, err := objects.read(ctx, ref, needsBody(&event.Head), !cached)
		switch {
		case apierrors.IsForbidden(err):
			j.forbidden.add(ref, j.clock.Now())
			return verdict{Judgement: notAllowed}, nil
		case apierrors.IsMethodNotSupported(err), errors.Is(err, errNoSuchKind):
			return verdict{Judgement: notReadable}, nil
		case err != nil && apierrors.ReasonForError(err) == metav1.StatusReasonUnknown && ctx.Err() == nil && try >= readTries-1:
			return verdict{}, err
		case err != nil:
			sleep(ctx, time.Duration(try)*time.Second)
			continue
		}
		judged := j.decide(event, known, seen)
		switch {
		case !cached:
			return verdict{Judgement: judged, seen: &seen}, nil
		case judged == persisted && event.Head.Action != v1alpha1.ActionDelete:
			return verdict{Judgement: judged, seen: &seen}, nil
		}
		// What the cache does not show may exist: only a consistent read speaks against a change.
	}
	return verdict{Judgement: notReadable}, nil
}

// decide judges by what is known and what was read.
func (j *judge) decide(event *Event, known *history, seen sight) ledger.Judgement {
	if isBinding(&event.Head) {
		return j.decideBinding(event, seen)
	}
	ref := &event.Head.Resource
	complete := !event.Overdue && j.nothingMissed(ref, event.Head.Time.Time)
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
	found := complete && j.deletesAreRecorded(ref) && len(known.evictions) == 0 && !known.mayHaveBeenEvicted(event)
	return decide(&event.Head, seen, found)
}
