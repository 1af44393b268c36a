package follow

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/internal/metrics"
)

// maxFollowers bounds the watches. What is referred to beyond it is noticed when its trail is verified the next time.
const maxFollowers = 1024

// Kind is a kind of object that can be followed; all are of the core group's version v1.
type Kind string

// What trails refer to.
const (
	Secret         Kind = "Secret"
	ServiceAccount Kind = "ServiceAccount"
)

// Object names an object.
type Object struct {
	Kind Kind
	types.NamespacedName
}

// Options are what Followers need.
type Options struct {
	// Client lists and watches metadata. It must not be a cache.
	Client client.WithWatch
	// Changed is told that an object to which a trail refers has changed, was made or has gone.
	Changed func(ctx context.Context, trail types.NamespacedName)
	// Metrics counts objects and watches.
	Metrics *metrics.Follow

	// pauses are those of the package, but for tests.
	pauses *pauses
}

// Followers follow what trails refer to: on the leader for all trails, to verify them, and on every replica for those that
// it delivers. They are a Runnable of the manager.
type Followers struct {
	options Options

	mu        sync.Mutex
	lifetime  context.Context //nolint:containedctx // That of the followers: from Start until the manager stops.
	group     sync.WaitGroup
	followers map[Object]*follower
	// references are the objects to which each trail refers.
	references map[types.NamespacedName][]Object
	// counted is how many objects the metric has of these.
	counted int
}

// New returns Followers that follow nothing yet.
func New(options Options) *Followers {
	if options.pauses == nil {
		options.pauses = &pauses{retry: time.Second, slowest: 5 * time.Minute, settle: time.Second}
	}
	return &Followers{
		options: options, followers: map[Object]*follower{}, references: map[types.NamespacedName][]Object{},
	}
}

// NeedLeaderElection says that they end with the leader, unless whoever adds them says otherwise.
func (f *Followers) NeedLeaderElection() bool { return true }

// Start follows until the context ends, and waits until every watch has ended.
func (f *Followers) Start(ctx context.Context) error {
	f.mu.Lock()
	f.lifetime = ctx
	for _, one := range f.followers {
		f.launchLocked(one) //nolint:contextcheck // It takes the lifetime that was just set.
	}
	f.mu.Unlock()
	<-ctx.Done()
	f.group.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.countLocked(0)
	return nil
}

// Follow follows exactly these objects for a trail. When it returns, every change of them from now on will be told, so
// what the caller reads afterwards cannot become old unnoticed. Where the API server does not let the operator list and
// watch an object, nothing is told.
func (f *Followers) Follow(ctx context.Context, trail types.NamespacedName, objects ...Object) {
	for _, one := range f.subscribe(ctx, trail, objects) {
		one.begin(ctx)
		f.mu.Lock()
		f.launchLocked(one) //nolint:contextcheck // It outlives the caller, and ends with Start.
		f.mu.Unlock()
	}
}

// Forget ends what is followed for this trail alone.
func (f *Followers) Forget(trail types.NamespacedName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, object := range f.references[trail] {
		f.unsubscribeLocked(trail, object)
	}
	delete(f.references, trail)
	f.countLocked(len(f.followers))
}

func (f *Followers) subscribe(ctx context.Context, trail types.NamespacedName, objects []Object) []*follower {
	f.mu.Lock()
	defer f.mu.Unlock()
	wanted := make(map[Object]bool, len(objects))
	var found []*follower
	for _, object := range objects {
		wanted[object] = true
		one := f.followers[object]
		if one == nil && len(f.followers) >= maxFollowers {
			log.FromContext(ctx).Info("Following no further objects; changes of this one are noticed with the next regular check",
				"kind", object.Kind, "object", object.String(), "followed", len(f.followers))
			continue
		}
		if one == nil {
			one = newFollower(f, object)
			f.followers[object] = one
		}
		one.trails[trail] = true
		found = append(found, one)
	}
	for _, object := range f.references[trail] {
		if !wanted[object] {
			f.unsubscribeLocked(trail, object)
		}
	}
	f.references[trail] = objects
	if len(objects) == 0 {
		delete(f.references, trail)
	}
	f.countLocked(len(f.followers))
	return found
}

// countLocked shows how many objects are followed.
func (f *Followers) countLocked(objects int) {
	f.options.Metrics.Following(objects - f.counted)
	f.counted = objects
}

// unsubscribeLocked ends a follower with its last trail.
func (f *Followers) unsubscribeLocked(trail types.NamespacedName, object Object) {
	one := f.followers[object]
	if one == nil {
		return
	}
	delete(one.trails, trail)
	if len(one.trails) > 0 {
		return
	}
	delete(f.followers, object)
	if one.cancel != nil {
		one.cancel()
	}
}

// launchLocked runs a follower that does not run yet and is still wanted.
func (f *Followers) launchLocked(one *follower) {
	if f.lifetime == nil || one.cancel != nil || f.followers[one.object] != one {
		return
	}
	ctx, cancel := context.WithCancel(f.lifetime)
	one.cancel = cancel
	f.group.Go(func() {
		defer cancel()
		one.run(ctx)
	})
}

// tell tells the trails that refer to the object.
func (f *Followers) tell(ctx context.Context, one *follower) {
	f.mu.Lock()
	trails := make([]types.NamespacedName, 0, len(one.trails))
	for trail := range one.trails {
		trails = append(trails, trail)
	}
	f.mu.Unlock()
	for _, trail := range trails {
		f.options.Changed(ctx, trail)
	}
}
