package objects

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
)

const (
	// maxBygones bounds what is remembered of what objects were, in bytes.
	maxBygones = 8 << 20
	// bygoneSize is about what one takes beside the object's body, in bytes.
	bygoneSize = 512
	// sameSilence is how far two looks at when a silence ended may be apart.
	sameSilence = 100 * time.Millisecond
)

// remembering remembers what objects were at revisions: that never changes, and each trail asks for the same. Only a backup of etcd that
// is restored can change it, and then the API server has been silent.
type remembering struct {
	Reader
	clock clock.PassiveClock
	// silence is as New has it.
	silence func() (lasted, ago time.Duration)

	reads singleflight.Group

	mu sync.Mutex
	// young are those that were added last, and older those before: when the young take half of the room, the older ones are forgotten.
	young, older map[bygone]Sight
	size         int
	// since is when the API server answered again before any of them was read, and times how often all were forgotten.
	since time.Time
	times int
}

// New returns how objects are seen by all who judge. silence is for how long the API server stored nothing, the last time that this was so,
// and how long ago that was; 0 while it is so.
func New(client rest.Interface, clock clock.PassiveClock, silence func() (lasted, ago time.Duration)) Reader {
	served := &server{client: client}
	return &remembering{Reader: &patient{served, served.ready, silence}, clock: clock, silence: silence}
}

// bygone is an object at a revision.
type bygone struct {
	path     string
	revision uint64
}

func (r *remembering) At(ctx context.Context, ref *v1alpha1.ResourceReference, revision uint64) (Sight, uint64, error) {
	if revision == 0 || !r.isSteady() {
		return r.Reader.At(ctx, ref, revision)
	}
	key := bygone{ObjectPath(ref), revision}
	seen, times, known := r.known(key)
	if known {
		return seen, revision, nil
	}
	answer, err, shared := r.reads.Do(key.path+"@"+apijson.FormatVersion(revision), func() (any, error) {
		seen, _, err := r.Reader.At(ctx, ref, revision)
		if err == nil {
			r.remember(key, seen, times)
		}
		return seen, err
	})
	if err != nil && shared && ctx.Err() == nil {
		return r.Reader.At(ctx, ref, revision) // It may have failed because another trail's courier ends.
	}
	seen, _ = answer.(Sight)
	return seen, revision, err
}

// isSteady says that the API server answers. If it did not for a while, all that was read before is forgotten.
func (r *remembering) isSteady() bool {
	lasted, ago := r.silence()
	if lasted == 0 {
		return true
	}
	since := r.clock.Now().Add(-ago)
	r.mu.Lock()
	defer r.mu.Unlock()
	if since.Sub(r.since) > sameSilence {
		r.young, r.older, r.size, r.since = nil, nil, 0, since
		r.times++
	}
	return ago > 0
}

// known is what is remembered, and how often all was forgotten up to now.
func (r *remembering) known(key bygone) (seen Sight, times int, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seen, known = r.young[key]; !known {
		seen, known = r.older[key]
	}
	return seen, r.times, known
}

// remember adds what was read, unless all was forgotten meanwhile.
func (r *remembering) remember(key bygone, seen Sight, times int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.times != times {
		return
	}
	if r.young == nil || r.size > maxBygones/2 {
		r.young, r.older, r.size = map[bygone]Sight{}, r.young, 0
	}
	r.young[key] = seen
	r.size += bygoneSize + len(key.path) + len(seen.Body)
}
