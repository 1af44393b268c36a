package delivery

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// remembered is for how long a creation can be looked for in what the API server's watch cache remembers: 75 seconds at least
	// (eventFreshDuration of k8s.io/apiserver).
	remembered = time.Minute
	// maxReplayed bounds the creations that are looked for at once.
	maxReplayed = 32
)

// recall looks for objects whose creation is in doubt, in what the API server remembers: who was created and deleted at once is not
// there any more when it is read. behind says that events were recorded that are not known yet.
func (j *judge) recall(ctx context.Context, events []Event, verdicts []verdict, behind bool) {
	var group sync.WaitGroup
	replayed := 0
	for i := range events {
		// An eviction of a pod that is going already is not recorded, and may have met the next one of the name.
		only := (behind || events[i].Head.Resource.Resource == "pods") && verdicts[i].isOnlyRead(&events[i])
		if !j.canRecall(&events[i]) || verdicts[i].Judgement != goneSince && !only {
			continue
		}
		if replayed++; replayed > maxReplayed {
			break
		}
		group.Go(func() { j.recallOne(ctx, &events[i], &verdicts[i]) })
	}
	group.Wait()
	if replayed > 0 {
		denyEvictions(events, verdicts)
	}
}

func (j *judge) recallOne(ctx context.Context, event *Event, v *verdict) {
	ref := &event.Head.Resource
	appeared, err := j.objects.appeared(ctx, ref, j.storedAfter(event))
	switch {
	case apierrors.IsForbidden(err), apierrors.IsMethodNotSupported(err):
		j.unwatched.add(ref, j.clock.Now())
	case err != nil:
		log.FromContext(ctx).V(1).Info("Judging a creation without what the API server remembers", "cause", err.Error(),
			"resource", ref.Resource, "namespace", ref.Namespace, "name", ref.Name)
	case appeared:
		*v = verdict{Judgement: persisted}
	default:
		*v = verdict{Judgement: notPersisted}
	}
}

// storedAfter is a resourceVersion from before the event's object was made: the event's own, unless it waited in a local file. 0 when
// none is known.
func (j *judge) storedAfter(event *Event) uint64 {
	if event.Straggler {
		return j.before(event.Head.Time.Time)
	}
	return event.ResourceVersion
}

// canRecall says that the API server may remember whether the event's object was ever there.
func (j *judge) canRecall(event *Event) bool {
	now := j.clock.Now()
	return event.Head.Action == v1alpha1.ActionCreate && event.Head.Resource.UID != "" && event.Status.Outcome == "" &&
		(!event.Straggler || j.storedAfter(event) != 0) && now.Sub(event.Head.Time.Time) < remembered && !j.unwatched.has(&event.Head.Resource, now)
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
