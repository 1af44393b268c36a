package outcome

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

const (
	// lateAfter is how long after a change was admitted what its object shows may be another one's, whose event is not known yet.
	lateAfter = 10 * time.Second
	// maxHindsight bounds how many objects are looked at as they were, for events that are judged together.
	maxHindsight = 256
)

// lookSoonAfter judges again what was judged long after it was admitted, by what its object was a moment after that: whoever asks for the
// same once more, when it was refused at first, may be the one who made it. That is only needed where the event of the second try may not
// be known yet. It fails when the API server is away.
func (j *Judge) lookSoonAfter(ctx context.Context, events []recorded.Event, histories map[string]*history, verdicts []Verdict) error {
	ctx, cancel := context.WithTimeout(ctx, recallTime)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(readers)
	counters := comparing{objects: j.Objects, known: map[place]func() error{}}
	left := maxHindsight
	for i := range events {
		event, v := &events[i], &verdicts[i]
		known := histories[event.Head.Resource.UID]
		until := madeBy(event, lateFor)
		if !j.mayBeAnothers(event, v, until) {
			continue
		}
		revision := known.revisions.after(until)
		if revision == 0 || left == 0 {
			continue
		}
		left--
		group.Go(func() error {
			ref := &event.Head.Resource
			if err := counters.with(ctx, ref); err != nil {
				return objects.OnlyAway(err)
			}
			then, _, err := j.Objects.At(ctx, ref, revision)
			if err != nil {
				log.FromContext(ctx).V(1).Info("Judging by what an object is now", "cause", err.Error(),
					"resource", ref.Resource, "namespace", ref.Namespace, "name", ref.Name)
				return objects.OnlyAway(err)
			}
			*v = Verdict{Judgement: j.decide(event, known, then), seen: &then}
			return nil
		})
	}
	return group.Wait()
}

// mayBeAnothers says that what an object shows now, and seems to prove a change, may have been done after a moment at which the change
// itself was made, if it was.
func (j *Judge) mayBeAnothers(event *recorded.Event, v *Verdict, until time.Time) bool {
	ref := &event.Head.Resource
	if v.seen == nil || v.Outcome != v1alpha1.OutcomePersisted || event.Late || ref.UID == "" ||
		j.Clock.Now().Sub(event.Head.Time.Time) < lateAfter || j.trackless.has(ref, j.Clock.Now()) {
		return false
	}
	switch event.Head.Action {
	case v1alpha1.ActionUpdate:
		return v.seen.Meta.Written.After(until)
	case v1alpha1.ActionDelete:
		return asksForDeletion(event) && !isEviction(event)
	default:
		return false
	}
}

// after is a revision at which a moment had passed; 0 when none is known.
func (r revisions) after(moment time.Time) uint64 {
	at, _ := slices.BinarySearchFunc(r, moment, func(known revision, moment time.Time) int { return known.at.Compare(moment) })
	if at == len(r) {
		return 0
	}
	return r[at].number
}

// comparing finds out once for each place whether its objects count with the AuditEvents, or why that is not known.
type comparing struct {
	objects objects.Reader

	mu    sync.Mutex
	known map[place]func() error
}

func (c *comparing) with(ctx context.Context, ref *v1alpha1.ResourceReference) error {
	c.mu.Lock()
	ask := c.known[placeOf(ref)]
	if ask == nil {
		ask = sync.OnceValue(func() error { return c.objects.ShareRevisions(ctx, ref) })
		c.known[placeOf(ref)] = ask
	}
	c.mu.Unlock()
	return ask()
}
