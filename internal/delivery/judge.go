package delivery

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
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
	survey(ctx context.Context, ref *v1alpha1.ResourceReference, whole bool, wanted map[string]bool,
		visit func(name string, seen sight)) (complete bool, err error)
}

// judge finds out whether changes stuck.
type judge struct {
	objects  reader
	digester audit.Digester
	clock    clock.PassiveClock
	// deletesAreRecorded says whether the trail has an event for every deletion of such objects.
	deletesAreRecorded func(ref *v1alpha1.ResourceReference) bool

	// settle is how long after its recording an event is due.
	settle time.Duration

	// keeping says that a glance may serve several calls, and kept is that glance.
	keeping bool
	kept    *glance

	// forbidden is where the operator may not read, crowded where it may not list or a list takes too long.
	forbidden, crowded places
}

// all judges events in their order. later are events that follow them.
func (j *judge) all(ctx context.Context, events, later []Event) []ledger.Judgement {
	byObject := map[types.UID][]*Event{}
	index := func(events []Event) {
		for i := range events {
			uid := types.UID(events[i].Head.Resource.UID)
			byObject[uid] = append(byObject[uid], &events[i])
		}
	}
	index(events)
	index(later)

	judgements := make([]ledger.Judgement, len(events))
	var open []openCase
	for i := range events {
		event := &events[i]
		known, ok := j.withoutReading(event, byObject[types.UID(event.Head.Resource.UID)])
		if judgements[i] = known; !ok {
			open = append(open, openCase{event, &judgements[i]})
		}
	}
	objects := j.glanceFor(open)
	j.survey(ctx, objects, open)
	limit := make(chan struct{}, readers)
	var group sync.WaitGroup
	for _, c := range open {
		limit <- struct{}{}
		group.Go(func() {
			defer func() { <-limit }()
			*c.verdict = j.byReading(ctx, objects, c.event)
		})
	}
	group.Wait()
	return judgements
}

// openCase is an event that only a look at its object can judge, and where the judgement goes.
type openCase struct {
	event   *Event
	verdict *ledger.Judgement
}

// withoutReading judges what needs no look at the object: what does not apply, what was judged before a crash, and
// what later events of the same object prove.
func (j *judge) withoutReading(event *Event, sameObject []*Event) (ledger.Judgement, bool) {
	if !applies(&event.Head) {
		return ledger.Judgement{}, true
	}
	if event.Status.Outcome != "" {
		return ledger.Judgement{Outcome: event.Status.Outcome, Message: event.Status.Message}, true
	}
	if event.Head.Resource.UID == "" {
		return ledger.Judgement{}, false
	}
	if event.Followed && event.Head.Action == v1alpha1.ActionCreate {
		return persisted, true
	}
	var later []*Event
	for _, other := range sameObject {
		if other.ResourceVersion > event.ResourceVersion {
			later = append(later, other)
		}
	}
	return decideByLater(j.digester, event, later)
}

// byReading looks at the object: first in the API server's cache, where being there is proof enough, then
// consistently.
func (j *judge) byReading(ctx context.Context, objects *glance, event *Event) ledger.Judgement {
	ref := &event.Head.Resource
	if j.forbidden.has(ref, j.clock.Now()) {
		return notAllowed
	}
	for try := range readTries {
		cached := try == 0
		judged, err := j.look(ctx, objects, event, !cached)
		switch {
		case apierrors.IsForbidden(err):
			j.forbidden.add(ref, j.clock.Now())
			return notAllowed
		case apierrors.IsMethodNotSupported(err):
			return notReadable
		case err != nil:
			sleep(ctx, time.Duration(try)*time.Second)
			continue
		case judged == persisted && event.Head.Action != v1alpha1.ActionDelete, !cached:
			return judged
		}
		// What the cache does not show may exist: only a consistent read speaks against a change.
	}
	return notReadable
}

func (j *judge) look(ctx context.Context, objects *glance, event *Event, consistent bool) (ledger.Judgement, error) {
	seen, err := objects.read(ctx, &event.Head.Resource, needsBody(&event.Head), consistent)
	if err != nil {
		return ledger.Judgement{}, err
	}
	sighting := audit.SawNeither
	if seen.exists && needsBody(&event.Head) {
		if sighting, err = audit.Sight(j.digester, event.Head.Evidence, seen.body); err != nil {
			return ledger.Judgement{}, err
		}
	}
	return decide(&event.Head, seen, sighting, j.deletesAreRecorded(&event.Head.Resource)), nil
}
