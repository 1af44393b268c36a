package presence

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const (
	// renewEvery is how often a replica gives a sign of life: a window's start is at most so much too early.
	renewEvery = 2 * time.Second
	// retryEvery is how soon a replica tries again where it could not give one, a fifth more or less, unless the API server stores something
	// else before that: a silence's end is at most so much too late.
	retryEvery = 500 * time.Millisecond
	// readyPoll is how often a replica asks itself whether it is ready, or whether the API server stores again.
	readyPoll = 50 * time.Millisecond
)

// board is where replicas leave their signs of life.
type board interface {
	// Patch changes annotations and returns the object; a nil value removes one.
	Patch(ctx context.Context, annotations map[string]*string, resourceVersion string) (*metav1.ObjectMeta, error)
}

// Options are what a Presence needs.
type Options struct {
	// Board is the Lease.
	Board board
	// Replica is this replica's name, for people.
	Replica string
	// Shards is into how many parts this replica divides what replicas share; those that divide it otherwise are no peers.
	Shards int
	// Ready are readiness checks: when none fails, the replica can record.
	Ready []func(*http.Request) error
	// FirstCall is when the API server called first; false before that.
	FirstCall func() (time.Time, bool)
	// Stored is when the API server last stored something else that this replica asked it to; zero before that.
	Stored func() time.Time
	// Head is the API server's present resourceVersion, of the counter of AuditEvents.
	Head func(ctx context.Context) (string, error)
	// Started is called when this replica can record. It returns when it has told so, or cannot.
	Started func(ctx context.Context, at time.Time)
	// Tell tells a window, and fails when that is to be tried again. A window that is told twice must be stored once.
	Tell  func(ctx context.Context, window Window) error
	Clock clock.Clock
}

// Presence is this replica's part.
type Presence struct {
	options Options
	id      string
	peers   peers

	mu sync.Mutex
	// since is when this replica began to record; zero before that.
	since time.Time
	// watch is whether the API server stores.
	watch watch
	// served says that since is final.
	served bool
	// position is what Position gives.
	position string
	// past is set when accounted is closed.
	past      Past
	accounted chan struct{}
}

// New returns a Presence for this process: a replica that starts again is another one.
func New(options Options) *Presence {
	return &Presence{options: options, id: rand.Text(), accounted: make(chan struct{})}
}

// Accounted is closed when this replica knows of the time before its start.
func (p *Presence) Accounted() <-chan struct{} { return p.accounted }

// Past is what this replica knows of the time before it recorded. It is false before it knows.
func (p *Presence) Past() (Past, bool) {
	select {
	case <-p.accounted:
		return p.past, true
	default:
		return Past{}, false
	}
}

// Run gives signs of life from when the replica is ready until the context ends, and accounts for the time before.
func (p *Presence) Run(ctx context.Context) {
	if !p.waitReady(ctx) {
		return
	}
	p.mu.Lock()
	p.since = p.options.Clock.Now()
	p.watch.known.From = p.since
	p.mu.Unlock()
	ready := p.began()
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { p.options.Started(ctx, ready) })
	given := ready.Add(-renewEvery)
	for signed, silent := false, false; ctx.Err() == nil; {
		began := p.options.Clock.Now()
		stored := later(p.options.Stored(), given)
		err := p.sign(ctx, false)
		p.mu.Lock()
		p.watch.note(stored, began, p.options.Clock.Now(), err == nil)
		p.mu.Unlock()
		if err == nil {
			given = began
		}
		switch {
		case err != nil && ctx.Err() == nil && !silent:
			log.FromContext(ctx).Error(err, "Cannot give a sign of life, and will try until that succeeds")
		case err == nil && !signed:
			// The others must see this replica before it decides what they saw.
			signed = true
			group.Go(func() { p.account(ctx) })
		}
		silent = err != nil
		if err := p.locate(ctx); err != nil && ctx.Err() == nil {
			log.FromContext(ctx).V(1).Info("Going on with an older resourceVersion", "cause", err.Error())
		}
		p.rest(ctx, silent)
	}
}

// rest waits until the next sign of life is due. A replica that could give none waits for a sign of the API server's: that it stores.
func (p *Presence) rest(ctx context.Context, silent bool) {
	if !silent {
		p.sleep(ctx, renewEvery)
		return
	}
	began := p.options.Clock.Now()
	until := began.Add(wait.Jitter(retryEvery*4/5, 0.5))
	for ctx.Err() == nil && p.options.Clock.Now().Before(until) && !p.options.Stored().After(began) {
		p.sleep(ctx, readyPoll)
	}
}

// Position is where the API server was at the last sign of life; empty before the first.
func (p *Presence) Position() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.position
}

// Stop marks that this replica stopped now, in good order. Run must have ended. It returns false when this replica was
// never ready.
func (p *Presence) Stop(ctx context.Context) (stopped bool, _ error) {
	if p.began().IsZero() {
		return false, nil
	}
	return true, p.sign(ctx, true)
}

func (p *Presence) waitReady(ctx context.Context) bool {
	for ctx.Err() == nil {
		if p.ready() {
			return true
		}
		p.sleep(ctx, readyPoll)
	}
	return false
}

func (p *Presence) ready() bool {
	for _, check := range p.options.Ready {
		if check(nil) != nil {
			return false
		}
	}
	return true
}

// sign gives a sign of life.
func (p *Presence) sign(ctx context.Context, last bool) error {
	own := p.entry()
	own.Stopped = last
	meta, err := p.options.Board.Patch(ctx, map[string]*string{entryPrefix + p.id: encode(own)}, "")
	if err != nil {
		return err
	}
	entries := parse(meta.Annotations).entries
	p.peers.note(entries, p.options.Shards, p.options.Clock.Now())
	p.learn(entries)
	return nil
}

// entry is what this replica says of itself.
func (p *Presence) entry() entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.watch.known
	known.All = slices.Clone(known.All)
	return entry{Replica: p.options.Replica, Since: p.since, Seen: p.options.Clock.Now(), Shards: p.options.Shards, Stalls: &known}
}

// learn takes over what others know of the time before this replica watched.
func (p *Presence) learn(entries map[string]entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, other := range entries {
		if other.Stalls != nil {
			p.watch.known.learn(other.Stalls)
		}
	}
}

// locate finds out where the API server is. What was found out before remains true where that fails.
func (p *Presence) locate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	position, err := p.options.Head(ctx)
	if err != nil {
		return fmt.Errorf("finding out the present resourceVersion: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.position = position
	return nil
}

func (p *Presence) began() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.since
}

func (p *Presence) sleep(ctx context.Context, pause time.Duration) {
	timer := p.options.Clock.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C():
	}
}
