package presence

import (
	"sync"
	"time"
)

// aliveFor is how long a sign of life counts.
const aliveFor = 5 * renewEvery

// peers are the replicas that share work with this one. What it saw is compared, not clocks.
type peers struct {
	mu sync.Mutex
	// seen has each replica's last sign of life, and moved when it was new to this replica.
	seen, moved map[string]time.Time
	looked      time.Time
	count       int
}

// note takes in what the Lease says of replicas that share as many shards as this one.
func (p *peers) note(entries map[string]entry, shards int, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// After a time in which this replica saw nothing, it cannot tell who was silent.
	blind := now.Sub(p.looked) > aliveFor
	p.looked, p.count = now, 0
	seen, moved := map[string]time.Time{}, map[string]time.Time{}
	for id, e := range entries {
		if e.Stopped || e.Shards != shards {
			continue
		}
		seen[id], moved[id] = e.Seen, p.moved[id]
		last, known := p.seen[id]
		if !known || blind || !e.Seen.Equal(last) {
			moved[id] = now
		}
		if now.Sub(moved[id]) < aliveFor {
			p.count++
		}
	}
	p.seen, p.moved = seen, moved
}

// Peers is how many replicas share work, this one included, as far as the last sign of life showed; 0 before the first.
func (p *Presence) Peers() int {
	p.peers.mu.Lock()
	defer p.peers.mu.Unlock()
	return p.peers.count
}
