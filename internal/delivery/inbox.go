package delivery

import (
	"sync"

	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// inbox holds what the feed has for one trail, in order. It is bounded: past the bound it forgets what follows and
// says so, and the courier reads that from the API server instead.
type inbox struct {
	mu     sync.Mutex
	events []recorded.Event
	bytes  int
	limit  int
	behind bool
	// lost says that it is behind because the feed saw nothing for a while.
	lost bool
	// missed is how many events were offered that it does not have, and last the resourceVersion of the last of them.
	missed int
	last   uint64
	// covered is the resourceVersion up to which events were read from the API server as well.
	covered uint64
	wake    chan struct{}
}

// newInbox returns an inbox of at most limit bytes that begins behind: its courier first reads what is there.
func newInbox(limit int) *inbox {
	return &inbox{limit: limit, behind: true, wake: make(chan struct{}, 1)}
}

// offer adds an event, or notes that the trail fell behind.
func (b *inbox) offer(event *recorded.Event) {
	b.mu.Lock()
	switch {
	case b.behind:
		b.miss(event)
	case b.bytes+event.Size() > b.limit && len(b.events) > 0:
		b.behind = true
		b.miss(event)
	default:
		b.events = append(b.events, *event)
		b.bytes += event.Size()
	}
	b.mu.Unlock()
	b.signal()
}

func (b *inbox) miss(event *recorded.Event) {
	b.missed++
	b.last = event.ResourceVersion
}

// cover notes that everything up to a resourceVersion was read from the API server, so that it is not counted twice.
func (b *inbox) cover(version uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.covered = version
	if b.last <= version {
		b.missed = 0
	}
}

// follow makes the inbox take events from now on. What the feed had before must be read from the API server.
func (b *inbox) follow() {
	b.mu.Lock()
	b.events, b.bytes, b.behind, b.lost, b.missed, b.covered = nil, 0, false, false, 0, 0
	b.mu.Unlock()
}

// forget drops what the inbox has: something before it was not delivered, and is read from the API server with it.
func (b *inbox) forget() {
	b.mu.Lock()
	b.events, b.bytes, b.missed, b.covered, b.behind, b.lost = nil, 0, 0, 0, true, false
	b.mu.Unlock()
	b.signal()
}

// lose notes that the feed has a gap after what the inbox has.
func (b *inbox) lose() {
	b.mu.Lock()
	b.behind, b.lost = true, true
	b.mu.Unlock()
	b.signal()
}

// take removes all events; behind says that others followed them that the inbox does not have.
func (b *inbox) take() (events []recorded.Event, behind bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	events, b.events, b.bytes = b.events, nil, 0
	return events, b.behind
}

// Peek appends what waits to events, and leaves it there.
func (b *inbox) peek(events []recorded.Event) []recorded.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append(events, b.events...)
}

// show has visit look at what waits, which it must neither change nor keep.
func (b *inbox) show(visit func(events []recorded.Event)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	visit(b.events)
}

// isBehind says that events were recorded that the inbox does not have.
func (b *inbox) isBehind() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.behind
}

// hasLost says that the feed saw nothing for a while since the inbox began to follow.
func (b *inbox) hasLost() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lost
}

// Size is how many events wait that were not read from the API server, whether the inbox has them or not.
func (b *inbox) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	count := b.missed
	for i := range b.events {
		if b.events[i].ResourceVersion > b.covered {
			count++
		}
	}
	return count
}

func (b *inbox) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}
