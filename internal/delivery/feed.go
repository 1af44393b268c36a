package delivery

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/pause"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// feed is the one watch of AuditEvents that all couriers of this replica share. Every event is decoded once and given to the inbox of
// its trail.
type feed struct {
	source *source
	clock  clock.PassiveClock

	mu      sync.Mutex
	inboxes map[types.UID]*inbox
	// troubled is since when the API server has not been followed; zero while it is.
	troubled time.Time
	// calm is from when events of the last trouble are known.
	calm time.Time
	// position is the resourceVersion up to which everything was given out; 0 before the first watch.
	position uint64
	// partial says that other replicas deliver some of the trails.
	partial atomic.Bool
}

// Bounds of how long delivery waits for what replicas kept while the API server was away.
const (
	minCalm = 3 * time.Second
	maxCalm = 40 * time.Second
	// maxStall is for how long delivery is held up by an API server that stores nothing.
	maxStall = time.Hour
)

func newFeed(source *source, clock clock.PassiveClock) *feed {
	return &feed{source: source, clock: clock, inboxes: map[types.UID]*inbox{}}
}

// isKnown says whether the API server's history has come as far as a cursor. It has not when etcd was restored, or when that cannot
// be found out: then the trail lists what there is, and sees.
func (f *feed) isKnown(ctx context.Context, cursor uint64) bool {
	if cursor <= f.at() {
		return true
	}
	head, err := f.source.head(ctx)
	return err == nil && cursor <= head
}

// subscribe gives the trail's events to its inbox from now on. An inbox whose cursor is known, and was not passed by the feed yet,
// needs nothing from before.
func (f *feed) subscribe(trail types.UID, box *inbox, cursor uint64, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inboxes[trail] = box
	if f.position != 0 && cursor >= f.position && known {
		box.follow()
	}
}

func (f *feed) unsubscribe(trail types.UID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.inboxes, trail)
}

// run watches until the context ends.
func (f *feed) run(ctx context.Context) {
	retry := newBackoff()
	for ctx.Err() == nil {
		err := f.watchOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			retry = newBackoff()
			continue
		case errors.Is(err, apijson.ErrExpired):
			log.FromContext(ctx).Info("Starting the watch of AuditEvents over, because its history is gone")
			f.reset()
		default:
			log.FromContext(ctx).Error(err, "Watching AuditEvents again after a pause")
			f.trouble()
		}
		pause.For(ctx, retry.Step())
	}
}

// watchOnce follows one watch. A watch that begins anew begins at the present, and every trail reads what was before
// from the API server.
func (f *feed) watchOnce(ctx context.Context) error {
	head, err := f.source.head(ctx)
	if err != nil {
		return err
	}
	f.recover()
	from := f.at()
	switch {
	case from == 0:
		from = head
		f.begin(head)
	case from > head:
		// The API server accepts such a watch, and then shows nothing until its history has grown as far.
		return apijson.ErrExpired
	}
	return f.source.watch(ctx, from, func(version uint64, created *recorded.Wire) {
		f.give(ctx, version, created)
	})
}

// trouble notes that the API server cannot be followed.
func (f *feed) trouble() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.troubled.IsZero() {
		f.troubled = f.clock.Now()
	}
}

// recover notes that the API server is followed again. Meanwhile replicas have kept events in their files, and write
// them after a pause that is not longer than the trouble was.
func (f *feed) recover() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.troubled.IsZero() {
		return
	}
	now := f.clock.Now()
	f.calm = now.Add(min(now.Sub(f.troubled)+minCalm, maxCalm))
	f.troubled = time.Time{}
}

// untilCalm is how long events of the last trouble may still come.
func (f *feed) untilCalm() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return max(0, f.calm.Sub(f.clock.Now()))
}

// hasShown says that all that was recorded up to a resourceVersion was given out. Where nothing has been recorded since, the
// position may be behind for long: then it is what settled since a moment, by when all had been recorded.
func (f *feed) hasShown(version uint64, since time.Time, settle time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.position >= version {
		return true
	}
	return f.position != 0 && f.troubled.IsZero() && f.clock.Since(since) >= settle
}

// At is the position; 0 when the watch has to begin anew.
func (f *feed) at() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.position
}

func (f *feed) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.position = 0
}

// begin starts at head: whoever is not there yet has a gap.
func (f *feed) begin(head uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.position = head
	for _, box := range f.inboxes {
		box.lose()
	}
}

// give moves the position on, and gives a created event to its trail. Both happen at once, so that a trail that
// subscribes in between misses nothing.
func (f *feed) give(ctx context.Context, version uint64, created *recorded.Wire) {
	if created != nil && f.partial.Load() && f.pass(version, created) {
		return
	}
	var event recorded.Event
	if created != nil {
		var err error
		if event, err = created.Event(); err != nil {
			// An event that nobody can read must not stop those that follow it.
			log.FromContext(ctx).Error(err, "Skipping an AuditEvent that cannot be read")
		}
		event.Seen = f.clock.Now()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.position = max(f.position, version)
	if box := f.inboxes[event.Trail]; box != nil {
		box.offer(&event)
	}
}

// newBackoff is the pause between tries against the API server: 0.5 s growing to 30 s, with jitter.
func newBackoff() *wait.Backoff {
	return &wait.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 7, Cap: 30 * time.Second}
}
