package delivery

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// remembered is for how long a creation is looked for in what the API server's watch cache remembers: 75 seconds at least
	// (eventFreshDuration of k8s.io/apiserver), often more, and it says when it does not.
	remembered = 5 * time.Minute
	// lately is for how long creations of a kind in a namespace are looked for together: what happened to all others is read with them.
	lately = time.Minute
	// recallTime bounds how long all that takes, for events that are judged together: their trail waits for it.
	recallTime = 20 * time.Second
	// maxReplayed bounds the questions that are asked at once, and maxQuestions those that are asked for events that are judged together.
	maxReplayed  = 32
	maxQuestions = 8 * maxReplayed
)

// recall looks for objects whose creation is in doubt, in what the API server remembers: who was created and deleted at once is not
// there any more when it is read. others are further events that are known; behind says that events were recorded that are not known yet.
func (j *judge) recall(ctx context.Context, events, others []Event, verdicts []verdict, behind bool) {
	asked := map[question][]int{}
	for i := range events {
		// An eviction of a pod that is going already is not recorded, and may have met the next one of the name.
		only := (behind || events[i].Head.Resource.Resource == "pods") && verdicts[i].isOnlyRead(&events[i])
		if !j.canRecall(&events[i]) || verdicts[i].Judgement != goneSince && !only {
			continue
		}
		at := question{place: placeOf(&events[i].Head.Resource)}
		if j.clock.Now().Sub(events[i].Head.Time.Time) > lately {
			at.name = events[i].Head.Resource.Name
		}
		if _, known := asked[at]; known || len(asked) < maxQuestions {
			asked[at] = append(asked[at], i)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, recallTime)
	defer cancel()
	known := sync.OnceValue(func() revisions { return revisionsOf(events, others) })
	var group errgroup.Group
	group.SetLimit(maxReplayed)
	for _, those := range asked {
		group.Go(func() error {
			j.recallIn(ctx, events, known, verdicts, those)
			return nil // Without it, what is known decides.
		})
	}
	_ = group.Wait()
	if len(asked) > 0 {
		denyEvictions(events, verdicts)
	}
}

// question is what is asked for at once: of a kind in a namespace, one name or all of them.
type question struct {
	place
	name string
}

// recallIn looks for the objects of some of the events, which are of one place.
func (j *judge) recallIn(ctx context.Context, events []Event, known func() revisions, verdicts []verdict, those []int) {
	refs := make([]*v1alpha1.ResourceReference, 0, len(those))
	since := uint64(math.MaxUint64)
	for _, i := range those {
		refs = append(refs, &events[i].Head.Resource)
		since = min(since, events[i].storedAfter())
	}
	appeared, err := j.remember(ctx, refs, since)
	if errors.Is(err, errForgotten) {
		err = j.searchFor(ctx, events, known(), verdicts, those)
	} else if err == nil {
		for _, i := range those {
			verdicts[i] = recalled(appeared[events[i].Head.Resource.UID])
		}
	}
	if err != nil {
		log.FromContext(ctx).V(1).Info("Judging creations without what the API server remembers", "cause", err.Error(),
			"resource", refs[0].Resource, "namespace", refs[0].Namespace, "creations", len(refs))
	}
}

// remember asks the API server which of the objects were there after a revision, more than once where it has just started and does
// not know yet who may do what.
func (j *judge) remember(ctx context.Context, refs []*v1alpha1.ResourceReference, since uint64) (map[string]bool, error) {
	for try := 1; ; try++ {
		appeared, err := j.objects.appeared(ctx, refs, since)
		if !apierrors.IsForbidden(err) && !apierrors.IsMethodNotSupported(err) {
			return appeared, err
		}
		if try == readTries || j.objects.ready(ctx) == nil {
			j.unwatched.add(refs[0], j.clock.Now())
			return nil, err
		}
		sleep(ctx, time.Duration(try)*time.Second)
	}
}

// storedAfter is a resourceVersion from before the event's object was made: the event's own, unless it waited in a local file. 0 when
// none is known.
func (e *Event) storedAfter() uint64 {
	switch {
	case e.Late:
		return e.After
	case e.Moved:
		return 0
	default:
		return e.ResourceVersion
	}
}

// canRecall says that the API server may remember whether the event's object was ever there.
func (j *judge) canRecall(event *Event) bool {
	now := j.clock.Now()
	return event.Head.Action == v1alpha1.ActionCreate && event.Head.Resource.UID != "" && event.Status.Outcome == "" &&
		event.storedAfter() != 0 && now.Sub(event.Head.Time.Time) < remembered && !j.unwatched.has(&event.Head.Resource, now)
}

// denyEvictions judges the evictions that found no pod, and may have found one only that was never there.
func denyEvictions(events []Event, verdicts []verdict) {
	never := map[string]bool{}
	for i := range events {
		if events[i].Head.Action == v1alpha1.ActionCreate && verdicts[i].Judgement == notPersisted && verdicts[i].seen == nil {
			never[events[i].Head.Resource.UID] = true
		}
	}
	for i := range events {
		if foundNone(&events[i].Head) && never[events[i].Head.Resource.UID] {
			verdicts[i] = verdict{Judgement: notPersisted}
		}
	}
}
