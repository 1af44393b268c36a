package delivery

import (
	"context"
	"errors"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
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

// verdict is a judgement, and what it rests on.
type verdict struct {
	ledger.Judgement
	// seen is what a consistent read showed; nil when the judgement needed none.
	seen *sight
}

// isOpen says that events that were recorded before the read, and are known only later, may tell more.
func (v *verdict) isOpen(event *Event) bool {
	return v.seen != nil && (v.Outcome != v1alpha1.OutcomePersisted || event.Head.Action == v1alpha1.ActionDelete)
}

// all judges events in their order. others are further events that are known.
func (j *judge) all(ctx context.Context, events, others []Event) []verdict {
	histories := j.histories(events, others)
	// Many events of one object need one look at it.
	objects := newGlance(j.objects)
	verdicts := make([]verdict, len(events))
	limit := make(chan struct{}, readers)
	var group sync.WaitGroup
	for i := range events {
		event := &events[i]
		known := histories[event.Head.Resource.UID]
		if judged, ok := j.withoutReading(event, known); ok {
			verdicts[i] = verdict{Judgement: judged}
			continue
		}
		limit <- struct{}{}
		group.Go(func() {
			defer func() { <-limit }()
			verdicts[i] = j.byReading(ctx, objects, event, known)
		})
	}
	group.Wait()
	return verdicts
}

// again judges once more what is open, with what is known by now.
func (j *judge) again(events, others []Event, verdicts []verdict) {
	histories := j.histories(events, others)
	for i := range verdicts {
		if verdicts[i].isOpen(&events[i]) {
			verdicts[i].Judgement = j.decide(&events[i], histories[events[i].Head.Resource.UID], *verdicts[i].seen)
		}
	}
}

// histories are what the events show, by the object's uid.
func (j *judge) histories(events, others []Event) map[string]*history {
	byObject := map[string][]*Event{}
	for _, list := range [][]Event{events, others} {
		for i := range list {
			uid := list[i].Head.Resource.UID
			byObject[uid] = append(byObject[uid], &list[i])
		}
	}
	histories := make(map[string]*history, len(byObject))
	for uid, same := range byObject {
		if uid == "" {
			same = nil // These have nothing in common.
		}
		histories[uid] = newHistory(j.digester, same)
	}
	return histories
}

// withoutReading judges what needs no look at the object: what does not apply, what was judged before a crash, and
// what other events of the same object prove.
func (j *judge) withoutReading(event *Event, known *history) (ledger.Judgement, bool) {
	switch {
	case !applies(&event.Head):
		return ledger.Judgement{}, true
	case event.Status.Outcome != "":
		return ledger.Judgement{Outcome: event.Status.Outcome, Message: event.Status.Message}, true
	case event.Followed && event.Head.Action == v1alpha1.ActionCreate:
		return persisted, true
	}
	switch known.fate(event) {
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
// consistently.
func (j *judge) byReading(ctx context.Context, objects reader, event *Event, known *history) verdict {
	ref := &event.Head.Resource
	if j.isForbidden(ref) {
		return verdict{Judgement: notAllowed}
	}
	for try := range readTries {
		cached := try == 0
		seen, err := objects.read(ctx, ref, needsBody(&event.Head), !cached)
		switch {
		case apierrors.IsForbidden(err):
			j.forbid(ref)
			return verdict{Judgement: notAllowed}
		case apierrors.IsMethodNotSupported(err), errors.Is(err, errNoSuchKind):
			return verdict{Judgement: notReadable}
		case err != nil:
			sleep(ctx, time.Duration(try)*time.Second)
			continue
		}
		judged := j.decide(event, known, seen)
		switch {
		case !cached:
			return verdict{judged, &seen}
		case judged == persisted && event.Head.Action != v1alpha1.ActionDelete:
			return verdict{Judgement: judged}
		}
		// What the cache does not show may exist: only a consistent read speaks against a change.
	}
	return verdict{Judgement: notReadable}
}

// decide judges by what is known and what was read.
func (j *judge) decide(event *Event, known *history, seen sight) ledger.Judgement {
	if event.Head.Resource.UID != "" {
		switch known.with(seen, event.Head.Resource.UID).fate(event) {
		case made:
			return persisted
		case notMade:
			return notPersisted
		case contest:
			return contested
		case unsure:
		}
	}
	return decide(&event.Head, seen, j.deletesAreRecorded(&event.Head.Resource))
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
