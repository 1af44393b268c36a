package recorder

import (
	"errors"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

const (
	// recentFor is how long a change is remembered after its first call. The API server validates one change again
	// within milliseconds, as at the graceful deletion of a pod, or when a controller wrote the object in between. It
	// must stay well below the time after which delivery judges an event: somebody who tries again what was refused
	// makes another change.
	recentFor = time.Second
	// maxRecent bounds how many changes are remembered.
	maxRecent = 8192
)

// errNotRecorded is what others get that wait for a recording which never returned.
var errNotRecorded = errors.New("recording the change ended unexpectedly")

// recent makes sure that one change that the API server sends several times is recorded once.
type recent struct {
	clock clock.PassiveClock

	mu    sync.Mutex
	calls map[string]*call
	// deletions are the last recordings of deletions, by who deletes what.
	deletions map[string]*call
	// ended are the calls that ended well, oldest first.
	ended []*call
}

// call is one recording, perhaps still going on.
type call struct {
	key string
	// request is the uid of the review that came first.
	request string
	// deletion is who deletes what; empty for other changes.
	deletion string
	until    time.Time
	done     chan struct{}
	stored   types.NamespacedName
	err      error
}

// isSame says that another call is of the same change: of the same request, while that is being recorded, or so soon after it that it is
// no request of its own. Somebody who tries again while recording hangs makes another change.
func (c *call) isSame(request string, now time.Time) bool {
	if now.Before(c.until) {
		return true
	}
	select {
	case <-c.done:
		return false
	default:
		return c.request == request
	}
}

func newRecent(clock clock.PassiveClock) *recent {
	return &recent{clock: clock, calls: map[string]*call{}, deletions: map[string]*call{}}
}

// once calls record unless that was done for the key a moment ago, and returns what it returned. A failure is
// forgotten, so that the next call tries again. request is the review's uid, and deletion who deletes what, for a change that is a deletion.
func (r *recent) once(key, request, deletion string, record func() (types.NamespacedName, error)) (types.NamespacedName, error) {
	mine, first := r.begin(key, request, deletion)
	if !first {
		<-mine.done
		return mine.stored, mine.err
	}
	// Should record panic, nobody may wait for it in vain.
	mine.err = errNotRecorded
	defer r.end(mine)
	mine.stored, mine.err = record()
	return mine.stored, mine.err
}

// deleted is where the deletion was recorded a moment ago.
func (r *recent) deleted(deletion string) (types.NamespacedName, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.prune()
	if last, ok := r.deletions[deletion]; ok {
		return last.stored, true
	}
	return types.NamespacedName{}, false
}

func (r *recent) begin(key, request, deletion string) (_ *call, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.prune()
	now := r.clock.Now()
	if earlier, ok := r.calls[key]; ok && earlier.isSame(request, now) {
		return earlier, false
	}
	mine := &call{key: key, request: request, deletion: deletion, until: now.Add(recentFor), done: make(chan struct{})}
	r.calls[key] = mine
	return mine, true
}

func (r *recent) end(mine *call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(mine.done)
	if mine.err != nil {
		if r.calls[mine.key] == mine {
			delete(r.calls, mine.key)
		}
		return
	}
	r.ended = append(r.ended, mine)
	if mine.deletion != "" {
		r.deletions[mine.deletion] = mine
	}
}

// prune forgets what is too old or too much.
func (r *recent) prune() {
	now := r.clock.Now()
	for len(r.ended) > 0 && (len(r.ended) > maxRecent || !now.Before(r.ended[0].until)) {
		oldest := r.ended[0]
		if r.calls[oldest.key] == oldest {
			delete(r.calls, oldest.key)
		}
		if r.deletions[oldest.deletion] == oldest {
			delete(r.deletions, oldest.deletion)
		}
		r.ended = r.ended[1:]
	}
}
