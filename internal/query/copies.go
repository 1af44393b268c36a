package query

import (
	"hash/fnv"
	"strconv"
)

const (
	// remembered is how many changes back a copy is recognised: those of one request have the same time, to the millisecond, and
	// those of a change that the API server asked about twice are seconds apart.
	remembered = 1024
	// carried is how many of them a cursor takes to the next page.
	carried = 16
)

// copies recognises further trails' records of changes that have been seen. One trail's events with the same id are no copies:
// whoever opens a shell in a pod twice did so twice.
type copies struct {
	name string
	// trails are by which trail the last event of an id was recorded.
	trails map[string]string
	ring   []string
	next   int
}

// has says whether the row is a copy of one before it, or the very same event from another place, and remembers it.
func (c *copies) has(row *Row) bool {
	if row.Event.Name == c.name {
		return true
	}
	c.name = row.Event.Name
	id, trail := row.Event.Spec.ID, shortTrail(row.Event.Spec.TrailRef.UID)
	if before, known := c.trails[id]; known {
		return before != trail
	}
	c.remember(id, trail)
	return false
}

func (c *copies) remember(id, trail string) {
	if c.trails == nil {
		c.trails = make(map[string]string, carried)
	}
	if len(c.ring) < remembered {
		c.ring = append(c.ring, id)
	} else {
		delete(c.trails, c.ring[c.next])
		c.ring[c.next] = id
		c.next = (c.next + 1) % remembered
	}
	c.trails[id] = trail
}

// last are the ids that were seen last, oldest first, each with its trail.
func (c *copies) last() []sighting {
	var last []sighting
	for i := range min(carried, len(c.ring)) {
		id := c.ring[(c.next+len(c.ring)-1-i)%len(c.ring)]
		last = append([]sighting{{ID: id, Trail: c.trails[id]}}, last...)
	}
	return last
}

// shortTrail tells trails apart in few characters. Two trails that it confuses have their copies shown twice.
func shortTrail(uid string) string {
	digest := fnv.New32a()
	_, _ = digest.Write([]byte(uid)) // A hash takes everything.
	return strconv.FormatUint(uint64(digest.Sum32()), 36)
}
