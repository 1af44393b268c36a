package outcome

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

const (
	// remembered is for how long a creation is looked for in what the API server's watch cache remembers: 75 seconds at least
	// (eventFreshDuration of k8s.io/apiserver), often more, and it says when it does not.
	remembered = 5 * time.Minute
	// lately is for how long creations of a kind in a namespace are looked for together: what happened to all others is read with them.
	lately = time.Minute
	// recallTime bounds how long all that takes, and how long it takes to look at what objects were, for events that are judged together:
	// their trail waits for it.
	recallTime = 30 * time.Second
	// maxReplayed bounds the questions that are asked at once, and maxQuestions those that are asked for events that are judged together.
	maxReplayed  = 32
	maxQuestions = 8 * maxReplayed
)

// Recall looks for objects whose creation is in doubt, in what the API server remembers: who was created and deleted at once is not
// there any more when it is read. others are further events that are known; behind says that events were recorded that are not known yet.
// It fails when the API server is away.
func (j *Judge) Recall(ctx context.Context, events, others []recorded.Event, verdicts []Verdict, behind bool) error {
	asked := map[question][]int{}
	for i := range events {
		// An eviction of a pod that is going already is not recorded, and may have met the next one of the name.
		only := (behind || events[i].Head.Resource.Resource == "pods") && verdicts[i].IsOnlyRead(&events[i])
		if !j.canRecall(&events[i]) || verdicts[i].Judgement != goneSince && !only {
			continue
		}
		at := question{place: placeOf(&events[i].Head.Resource)}
		if j.Clock.Now().Sub(events[i].Head.Time.Time) > lately {
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
			return objects.OnlyAway(j.recallIn(ctx, events, known, verdicts, those))
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if len(asked) > 0 {
		denyEvictions(events, verdicts)
	}
	admitEvictions(events, verdicts, asked)
	return nil
}

// question is what is asked for at once: of a kind in a namespace, one name or all of them.
type question struct {
	place
	name string
}

// recallIn looks for the objects of some of the events, which are of one place.
func (j *Judge) recallIn(ctx context.Context, events []recorded.Event, known func() revisions, verdicts []Verdict, those []int) error {
	refs := make([]*v1alpha1.ResourceReference, 0, len(those))
	since := uint64(math.MaxUint64)
	for _, i := range those {
		refs = append(refs, &events[i].Head.Resource)
		since = min(since, events[i].StoredAfter())
	}
	appeared, err := j.Objects.Appeared(ctx, refs, since)
	switch {
	case errors.Is(err, objects.ErrForgotten):
		err = j.searchFor(ctx, events, known(), verdicts, those)
	case apierrors.IsForbidden(err), apierrors.IsMethodNotSupported(err):
		j.unwatched.add(refs[0], j.Clock.Now())
	case err == nil:
		for _, i := range those {
			verdicts[i] = recalled(appeared[events[i].Head.Resource.UID])
		}
	}
	if err != nil {
		log.FromContext(ctx).V(1).Info("Judging creations without what the API server remembers", "cause", err.Error(),
			"resource", refs[0].Resource, "namespace", refs[0].Namespace, "creations", len(refs))
	}
	return err
}

// canRecall says that the API server may remember whether the event's object was ever there.
func (j *Judge) canRecall(event *recorded.Event) bool {
	now := j.Clock.Now()
	return creates(&event.Head) && event.Head.Resource.UID != "" && event.Status.Outcome == "" &&
		event.StoredAfter() != 0 && now.Sub(event.Head.Time.Time) < remembered && !j.unwatched.has(&event.Head.Resource, now)
}

// denyEvictions judges the evictions that found no pod, and may have found one only that was never there.
func denyEvictions(events []recorded.Event, verdicts []Verdict) {
	never := map[string]bool{}
	for i := range events {
		if creates(&events[i].Head) && verdicts[i].Judgement == notPersisted && verdicts[i].seen == nil {
			never[events[i].Head.Resource.UID] = true
		}
	}
	for i := range events {
		if foundNone(&events[i].Head) && never[events[i].Head.Resource.UID] {
			verdicts[i] = Verdict{Judgement: notPersisted}
		}
	}
}

// admitEvictions judges evictions that found no pod, and may have found one that was created a little later and is going, or gone: asked
// are the creations of what is gone, although nothing is known of its deletion.
func admitEvictions(events []recorded.Event, verdicts []Verdict, asked map[question][]int) {
	appeared := map[types.NamespacedName][]*recorded.Event{}
	for i := range events {
		if seen := verdicts[i].seen; creates(&events[i].Head) && seen != nil && seen.Meta.DeletionTimestamp != nil {
			appeared[objectName(&events[i])] = append(appeared[objectName(&events[i])], &events[i])
		}
	}
	for _, those := range asked {
		for _, i := range those {
			if verdicts[i].Judgement == persisted {
				appeared[objectName(&events[i])] = append(appeared[objectName(&events[i])], &events[i])
			}
		}
	}
	for i := range events {
		event := &events[i]
		if foundNone(&event.Head) && event.Head.Resource.UID == "" && verdicts[i].Judgement == notPersisted &&
			nearest(event, appeared[objectName(event)], nil, evictingLater) != "" {
			verdicts[i] = Verdict{Judgement: goneSince}
		}
	}
}
