package outcome

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

const (
	// maxLooks bounds how many times one object is looked at to follow it.
	maxLooks = 64
	// maxTracks bounds what the versions of objects that are judged together may have, in bytes.
	maxTracks = 16 << 20
)

// errTrackLost says that what an object was cannot be found out any more.
var errTrackLost = errors.New("the versions of the object cannot be followed")

// track is each version that an object had from one of them on: the API server can still show them until etcd is compacted, which
// takes minutes. So it shows what became of a change whatever was done to the object after that.
type track struct {
	// ref is as what the object was read.
	ref *v1alpha1.ResourceReference
	// steps are the versions, the oldest first.
	steps []footprint
	// removed is the revision at which the object was removed; 0 while it is there.
	removed uint64
}

// footprint is one version of an object.
type footprint struct {
	number uint64
	objects.Sight
}

// isDeleting says that the object's deletion had been asked for.
func (f *footprint) isDeleting() bool { return f.Meta.DeletionTimestamp != nil }

// deletionAsked is when that was, to the second, or since when it is to be removed sooner.
func (f *footprint) deletionAsked() time.Time { return f.Meta.DeletionTimestamp.Add(-graceOf(f)) }

// At is the position of a version.
func (t *track) at(number uint64) (int, bool) {
	if t == nil {
		return 0, false
	}
	return slices.BinarySearchFunc(t.steps, number, func(step footprint, number uint64) int { return int(step.number) - int(number) }) //nolint:gosec // Revisions of etcd.
}

// after is the version that followed another; nil when none did: then the object is still that, or was removed.
func (t *track) after(number uint64) *footprint {
	at, found := t.at(number)
	if found {
		at++
	}
	if at == len(t.steps) {
		return nil
	}
	return &t.steps[at]
}

// last is what the object is, or was when it was removed.
func (t *track) last() *footprint { return &t.steps[len(t.steps)-1] }

// now is what a consistent read showed last.
func (t *track) now() objects.Sight {
	if t.removed != 0 {
		return objects.Sight{}
	}
	return t.last().Sight
}

// follower follows one object.
type follower struct {
	objects objects.Reader
	ref     *v1alpha1.ResourceReference
	looks   int
	// room is how many bytes may still be kept, of all objects that are followed together.
	room *atomic.Int64
}

// newRoom is room for what is followed together.
func newRoom() *atomic.Int64 {
	room := &atomic.Int64{}
	room.Store(maxTracks)
	return room
}

// newFollower follows the object of a uid that has, or had, the name of another, by itself.
func newFollower(reader objects.Reader, ref *v1alpha1.ResourceReference, uid string) *follower {
	other := *ref
	other.UID = uid
	return &follower{objects: reader, ref: &other, room: newRoom()}
}

// endOf is what an object was last that was there at one revision and is not at a later one, and when it was removed.
func endOf(ctx context.Context, reader objects.Reader, ref *v1alpha1.ResourceReference, uid string, there, gone uint64) (objects.Sight, uint64, error) {
	last, removed, err := newFollower(reader, ref, uid).findEnd(ctx, there, gone)
	return last.Sight, removed, err
}

// follow finds the versions of an object from one on.
func follow(ctx context.Context, reader objects.Reader, ref *v1alpha1.ResourceReference, from uint64, room *atomic.Int64) (*track, error) {
	f := &follower{objects: reader, ref: ref, room: room}
	t := &track{ref: ref}
	step, revision, err := f.look(ctx, 0)
	if err == nil && step.number == 0 {
		step, t.removed, err = f.findEnd(ctx, from, revision)
	}
	for err == nil && step.number > from {
		t.steps = append(t.steps, step)
		step, _, err = f.look(ctx, step.number-1)
	}
	if err != nil {
		return nil, err
	}
	if step.number != from {
		return nil, errTrackLost
	}
	t.steps = append(t.steps, step)
	slices.Reverse(t.steps)
	return t, nil
}

// findEnd finds the last version of an object that was there at one revision and is not at a later one, and when it was removed.
func (f *follower) findEnd(ctx context.Context, there, gone uint64) (footprint, uint64, error) {
	last, _, err := f.look(ctx, there)
	if err != nil || last.number == 0 {
		return footprint{}, 0, errors.Join(errTrackLost, err)
	}
	for gone-there > 1 {
		middle := roundest(there, gone)
		step, _, err := f.look(ctx, middle)
		switch {
		case err != nil:
			return footprint{}, 0, err
		case step.number == 0:
			gone = middle
		default:
			there, last = middle, step
		}
	}
	return last, gone, nil
}

// roundest is a number between two that ends in as many zero bits as one of them can: where searches between such numbers meet, whatever
// two they began with, the same reads answer them. It takes twice the steps of halving at most.
func roundest(low, high uint64) uint64 {
	n := high - 1
	for n&(n-1) > low {
		n &= n - 1
	}
	return n
}

// look shows the object at a revision, or now when that is 0; its number is 0 when it was not there.
func (f *follower) look(ctx context.Context, revision uint64) (footprint, uint64, error) {
	if f.looks++; f.looks > maxLooks {
		return footprint{}, 0, errTrackLost
	}
	seen, shown, err := f.objects.At(ctx, f.ref, revision)
	if err != nil || !seen.Exists || string(seen.Meta.UID) != f.ref.UID {
		return footprint{}, shown, err
	}
	if f.room.Add(-int64(len(seen.Body))) < 0 {
		return footprint{}, 0, errTrackLost
	}
	number, err := apijson.ParseVersion(seen.Meta.ResourceVersion)
	return footprint{number, seen}, shown, err
}

// maxFollowed bounds how many objects are followed for events that are judged together.
const maxFollowed = 256

// lookBack follows the objects of events of which neither the others nor a read tell for sure what became, or that tell what other webhooks
// took, and judges those events again. It fails when the API server is away.
func (j *Judge) lookBack(ctx context.Context, events []recorded.Event, histories map[string]*history, verdicts []Verdict) error {
	wanted := map[string]*recorded.Event{} // By uid, the one with the oldest version.
	timed := 0
	for i := range events {
		event := &events[i]
		uid := event.Head.Resource.UID
		known := histories[uid]
		switch {
		case uid == "":
			continue
		case j.wantsTrack(event, known, &verdicts[i]):
		case timed < maxTimed && j.wantsTime(event, known, &verdicts[i]):
			timed++
		default:
			continue
		}
		if first, ok := wanted[uid]; (!ok || known.since(event) < known.since(first)) && (ok || len(wanted) < maxFollowed) {
			wanted[uid] = event
		}
	}
	room := newRoom()
	var group errgroup.Group
	group.SetLimit(readers)
	for uid, event := range wanted {
		known := histories[uid]
		group.Go(func() (err error) {
			known.track, err = j.followed(ctx, event, known.since(event), room)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i := range events {
		known := histories[events[i].Head.Resource.UID]
		if known.track != nil && applies(&events[i].Head) && events[i].Status.Outcome == "" && !findsNone(&events[i]) && known.isTracked(&events[i]) {
			now := known.track.now()
			verdicts[i] = Verdict{Judgement: j.decide(&events[i], known, now), seen: &now, track: known.track}
		}
	}
	return nil
}

// followed is the object's track from a version on; nil when it cannot be followed: then what is known decides.
func (j *Judge) followed(ctx context.Context, event *recorded.Event, from uint64, room *atomic.Int64) (*track, error) {
	ref := &event.Head.Resource
	found, err := follow(ctx, j.Objects, ref, from, room)
	switch {
	case err == nil:
		return found, nil
	case objects.IsAway(err):
		return nil, err
	case apierrors.IsForbidden(err), apierrors.IsMethodNotSupported(err):
		j.trackless.add(ref, j.Clock.Now())
	}
	log.FromContext(ctx).V(1).Info("Judging by what is known without an object's past", "cause", err.Error(),
		"resource", ref.Resource, "namespace", ref.Namespace, "name", ref.Name)
	return nil, nil
}

// wantsTrack says that it is not sure what became of the event's change, or that others may have made it.
func (j *Judge) wantsTrack(event *recorded.Event, known *history, v *Verdict) bool {
	ref := &event.Head.Resource
	switch {
	case !applies(&event.Head), event.Status.Outcome != "", findsNone(event), event.Head.Action == v1alpha1.ActionCreate, known.since(event) == 0,
		v.Judgement == notAllowed, v.Judgement == notReadable, j.trackless.has(ref, j.Clock.Now()):
		return false
	case v.Outcome == v1alpha1.OutcomeUnknown, isEviction(event), event.Head.Action == v1alpha1.ActionDelete && ref.DeletionTime != nil:
		return true
	case isGuess(event, known, v):
		return true
	default:
		return slices.ContainsFunc(known.rivals(event), func(rival *recorded.Event) bool { return rival.Status.Outcome != v1alpha1.OutcomeNotPersisted })
	}
}

// isGuess says that an update was held to be refused because of what the object showed some time after it: somebody whose change is not
// recorded, or not known yet, may have undone it. That an object is not being deleted proves that nobody had it deleted.
func isGuess(event *recorded.Event, known *history, v *Verdict) bool {
	return v.Outcome == v1alpha1.OutcomeNotPersisted && event.Head.Action == v1alpha1.ActionUpdate && !known.isStale(event) &&
		(v.seen == nil || v.seen.Meta.ResourceVersion != event.Head.Resource.ResourceVersion)
}

// since is the version from which the event's object is to be followed: its own; of an eviction, which names none at times, the
// first one that is known. 0 when there is none.
func (h *history) since(event *recorded.Event) uint64 {
	if base := baseOf(event); base != 0 || !isEviction(event) || len(h.versions) == 0 {
		return base
	}
	return h.versions[0].number
}
