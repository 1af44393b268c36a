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
	// forbiddenFor is how long a refused read is remembered, so that not every event repeats it.
	forbiddenFor = time.Minute
)

// reader is how the judge sees objects.
type reader interface {
	read(ctx context.Context, ref *v1alpha1.ResourceReference, whole, consistent bool) (sight, error)
}

// judge finds out whether changes stuck.
type judge struct {
	objects  reader
	digester audit.Digester
	clock    clock.PassiveClock
	// deletesAreRecorded says whether the trail has an event for every deletion of such objects.
	deletesAreRecorded func(ref *v1alpha1.ResourceReference) bool

	mu        sync.Mutex
	forbidden map[place]time.Time
}

// place is where rights are given: a resource in a namespace.
type place struct{ group, resource, namespace string }

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

	// Many events of one object need one look at it.
	objects := newGlance(j.objects)
	judgements := make([]ledger.Judgement, len(events))
	limit := make(chan struct{}, readers)
	var group sync.WaitGroup
	for i := range events {
		event := &events[i]
		if known, ok := j.withoutReading(event, byObject[types.UID(event.Head.Resource.UID)]); ok {
			judgements[i] = known
			continue
		}
		limit <- struct{}{}
		group.Go(func() {
			defer func() { <-limit }()
			judgements[i] = j.byReading(ctx, objects, event)
		})
	}
	group.Wait()
	return judgements
}

// withoutReading judges what needs no look at the object: what does not apply, what was judged before a crash, and
// what later events of the same object prove.
func (j *judge) withoutReading(event *Event, sameObject []*Event) (ledger.Judgement, bool) {
	if !applies(&event.Head) {
		return ledger.Judgement{}, true
	}
	if event.Head.Actor.Type == v1alpha1.ActorUnknown {
		// It was seen because it had been made.
		return persisted, true
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
func (j *judge) byReading(ctx context.Context, objects reader, event *Event) ledger.Judgement {
	ref := &event.Head.Resource
	if j.isForbidden(ref) {
		return notAllowed
	}
	for try := range readTries {
		cached := try == 0
		judged, err := j.look(ctx, objects, event, !cached)
		switch {
		case apierrors.IsForbidden(err):
			j.forbid(ref)
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

func (j *judge) look(ctx context.Context, objects reader, event *Event, consistent bool) (ledger.Judgement, error) {
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

func placeOf(ref *v1alpha1.ResourceReference) place {
	return place{ref.Group, ref.Resource, ref.Namespace}
}

func (j *judge) isForbidden(ref *v1alpha1.ResourceReference) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	since, ok := j.forbidden[placeOf(ref)]
	if ok && j.clock.Since(since) > forbiddenFor {
		delete(j.forbidden, placeOf(ref))
		return false
	}
	return ok
}

func (j *judge) forbid(ref *v1alpha1.ResourceReference) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.forbidden == nil {
		j.forbidden = map[place]time.Time{}
	}
	j.forbidden[placeOf(ref)] = j.clock.Now()
}
