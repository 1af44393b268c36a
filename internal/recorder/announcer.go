package recorder

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// announceEvery is how often an Announcer looks whether there is something to tell.
	announceEvery = time.Second
	// coalesceFor is how long what repeats is gathered, so that a storm of it is not a storm of notices.
	coalesceFor = 10 * time.Second
	// lastWords is how long an Announcer may take when it ends.
	lastWords = 5 * time.Second
	// maxAnnounced bounds the trails of which something is remembered.
	maxAnnounced = 4096
)

// loss is what was not recorded of one trail, and why: turned away because no more could wait for its destination, or
// because it could be recorded nowhere.
type loss struct {
	trail       v1alpha1.TrailReference
	turnedAway  bool
	count       int64
	first, last time.Time
}

// restoration is that the webhook configuration was other than it should be.
type restoration struct {
	what       string
	times      int
	start, end time.Time
}

// change is that the API server was told of another spec of a trail.
type change struct {
	trail      v1alpha1.TrailReference
	generation int64
	message    string
	at         time.Time
}

// Announcer gathers what happens to recording, and tells it: at once the first time, and what repeats every ten
// seconds. What cannot be told is kept until it can.
type Announcer struct {
	notices *Notices
	clock   clock.WithTicker

	mu       sync.Mutex
	losses   map[string]*loss
	changes  map[string]change
	restored *restoration
	// next is when what repeats may be told again.
	next time.Time
}

// NewAnnouncer returns an Announcer. It must be run.
func NewAnnouncer(notices *Notices, clock clock.WithTicker) *Announcer {
	return &Announcer{notices: notices, clock: clock, losses: map[string]*loss{}, changes: map[string]change{}}
}

// Lost counts an event that was recorded nowhere although its change was admitted.
func (a *Announcer) Lost(trail v1alpha1.TrailReference, at time.Time) {
	a.merge(&loss{trail: trail, count: 1, first: at, last: at})
}

// TurnedAway counts an event that was not recorded, although its change was admitted, because no more events may wait for
// the trail's destination.
func (a *Announcer) TurnedAway(trail v1alpha1.TrailReference, at time.Time) {
	a.merge(&loss{trail: trail, turnedAway: true, count: 1, first: at, last: at})
}

// key tells losses of different causes apart.
func (l *loss) key() string {
	if l.turnedAway {
		return l.trail.UID + "/turned-away"
	}
	return l.trail.UID
}

func (a *Announcer) merge(more *loss) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known, ok := a.losses[more.key()]
	switch {
	case ok:
		known.count += more.count
		if more.first.Before(known.first) {
			known.first = more.first
		}
		if more.last.After(known.last) {
			known.last = more.last
		}
	case len(a.losses) < maxAnnounced:
		a.losses[more.key()] = more
	}
}

// Restored notes that the webhook configuration was deleted or edited, and is as it should be again.
func (a *Announcer) Restored(what string, start, end time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.restored == nil {
		a.restored = &restoration{what: what, times: 1, start: start, end: end}
		return
	}
	a.restored.what, a.restored.end = what, end
	a.restored.times++
}

// Changed notes that the API server was told of another spec of a trail. Of several in a row the last is told.
func (a *Announcer) Changed(trail v1alpha1.TrailReference, generation int64, message string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.changes[trail.UID]; ok || len(a.changes) < maxAnnounced {
		a.changes[trail.UID] = change{trail, generation, message, a.clock.Now()}
	}
}

// Start announces until the context ends, and then what is left.
func (a *Announcer) Start(ctx context.Context) error {
	ticker := a.clock.NewTicker(announceEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
			defer cancel()
			a.announce(last)
			return nil
		case <-ticker.C():
			if !a.clock.Now().Before(a.next) {
				a.announce(ctx)
			}
		}
	}
}

// NeedLeaderElection is false: every replica has something to tell.
func (*Announcer) NeedLeaderElection() bool { return false }

// announce tells what there is.
func (a *Announcer) announce(ctx context.Context) {
	a.mu.Lock()
	losses, changes, restored := a.losses, a.changes, a.restored
	a.losses, a.changes, a.restored = map[string]*loss{}, map[string]change{}, nil
	a.mu.Unlock()
	if len(losses)+len(changes) == 0 && restored == nil {
		return
	}
	var errs []error
	a.next = a.clock.Now().Add(coalesceFor)
	for _, lost := range losses {
		if err := a.notices.tell(ctx, lost.trail, a.notices.lost(lost.last, lost)); err != nil {
			errs = append(errs, err)
			a.merge(lost)
		}
	}
	for _, changed := range changes {
		err := a.notices.tell(ctx, changed.trail, a.notices.changed(changed.at, changed.generation, changed.message))
		if err != nil {
			errs = append(errs, err)
			a.keep(changed)
		}
	}
	if restored != nil {
		if err := a.notices.Restored(ctx, restored.what, restored.times, restored.start, restored.end); err != nil {
			errs = append(errs, err)
			a.again(restored)
		}
	}
	if err := errors.Join(errs...); err != nil {
		log.FromContext(ctx).Error(err, "Cannot tell the trails what happened to recording, and will try again")
	}
}

// keep keeps a change that could not be told, unless a later one came.
func (a *Announcer) keep(changed change) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, later := a.changes[changed.trail.UID]; !later {
		a.changes[changed.trail.UID] = changed
	}
}

// again keeps a restoration that could not be told.
func (a *Announcer) again(restored *restoration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.restored != nil {
		restored.end, restored.times = a.restored.end, restored.times+a.restored.times
	}
	a.restored = restored
}
