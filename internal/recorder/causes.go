package recorder

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
)

const (
	// causeFor is how long an event can be the cause of others. Controllers act within seconds.
	causeFor = 5 * time.Minute
	// maxCauses bounds how many events are remembered, about 200 bytes each.
	maxCauses = 16384
)

// causes remembers recent events by what they are about, so that what follows from them can refer to them. Every replica
// knows what it recorded itself, so a cause that is not found says nothing.
type causes struct {
	clock clock.PassiveClock

	mu     sync.Mutex
	events map[causeKey]recentEvent
	// order are the keys in which events were remembered, oldest first. A key that was remembered again is in it twice.
	order []remembered
}

// causeKey is a subject in a trail.
type causeKey struct {
	trail   types.UID
	subject string
}

type remembered struct {
	key causeKey
	at  time.Time
}

type recentEvent struct {
	name types.NamespacedName
	at   time.Time
	// led says that somebody started something with it, or that it follows from such an event.
	led bool
}

func newCauses(clock clock.PassiveClock) *causes {
	return &causes{clock: clock, events: map[causeKey]recentEvent{}}
}

// find is the cause of a change in a trail; nil when there is none, or when it is not known.
func (c *causes) find(trail types.UID, origin audit.Origin) *v1alpha1.Cause {
	if origin.Reason == v1alpha1.CauseEviction {
		return &v1alpha1.Cause{Reason: origin.Reason}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var latest recentEvent
	for _, subject := range origin.Subjects {
		if known, ok := c.events[causeKey{trail, subject}]; ok && c.fresh(known.at) && known.at.After(latest.at) {
			latest = known
		}
	}
	if latest.name.Name == "" {
		return nil
	}
	return &v1alpha1.Cause{Reason: origin.Reason, Event: latest.name.String()}
}

// remember keeps a recorded event. The control plane's own bookkeeping does not take the place of what started it.
func (c *causes) remember(trail types.UID, subjects []string, name types.NamespacedName, led bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock.Now()
	for _, subject := range subjects {
		key := causeKey{trail, subject}
		if known, ok := c.events[key]; ok && known.led && !led && c.fresh(known.at) {
			continue
		}
		c.events[key] = recentEvent{name, now, led}
		c.order = append(c.order, remembered{key, now})
	}
	for len(c.order) > 0 && (len(c.order) > maxCauses || !c.fresh(c.order[0].at)) {
		oldest := c.order[0]
		c.order = c.order[1:]
		if c.events[oldest.key].at.Equal(oldest.at) {
			delete(c.events, oldest.key)
		}
	}
}

func (c *causes) fresh(at time.Time) bool { return c.clock.Since(at) < causeFor }
