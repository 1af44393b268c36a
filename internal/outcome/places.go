package outcome

import (
	"sync"
	"time"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// forbiddenFor is how long it is remembered of a place that it cannot be read, so that not every event tries again.
const forbiddenFor = time.Minute

// place is where rights are given: a resource in a namespace.
type place struct{ group, resource, namespace string }

func placeOf(ref *v1alpha1.ResourceReference) place {
	return place{ref.Group, ref.Resource, ref.Namespace}
}

// places remembers places for forbiddenFor. The zero value is ready to use.
type places struct {
	mu    sync.Mutex
	since map[place]time.Time
}

func (p *places) add(ref *v1alpha1.ResourceReference, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since == nil {
		p.since = map[place]time.Time{}
	}
	p.since[placeOf(ref)] = now
}

func (p *places) has(ref *v1alpha1.ResourceReference, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	since, ok := p.since[placeOf(ref)]
	if ok && now.Sub(since) > forbiddenFor {
		delete(p.since, placeOf(ref))
		return false
	}
	return ok
}
