package delivery

import (
	"context"
	"sync"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// maxGlance bounds the objects that a glance remembers, in bytes.
const maxGlance = 4 << 20

// glance reads each object once, for events that are judged together. All of them are due when it begins, so what it
// read for one is as good for another.
type glance struct {
	objects reader

	mu    sync.Mutex
	looks map[lookKey]*look
	bytes int
}

// lookKey is one way to read one object.
type lookKey struct {
	path              string
	whole, consistent bool
}

// look is one read, perhaps still going on.
type look struct {
	once sync.Once
	seen sight
	err  error
}

func newGlance(objects reader) *glance {
	return &glance{objects: objects, looks: map[lookKey]*look{}}
}

// read is as the reader's. A read that failed is not remembered.
func (g *glance) read(ctx context.Context, ref *v1alpha1.ResourceReference, whole, consistent bool) (sight, error) {
	key := lookKey{objectPath(ref), whole, consistent}
	l := g.lookAt(key)
	l.once.Do(func() {
		l.seen, l.err = g.objects.read(ctx, ref, whole, consistent)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.bytes += len(l.seen.body)
		if l.err != nil {
			delete(g.looks, key)
		}
	})
	return l.seen, l.err
}

func (g *glance) lookAt(key lookKey) *look {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l, ok := g.looks[key]; ok {
		return l
	}
	l := &look{}
	if g.bytes < maxGlance {
		g.looks[key] = l
	}
	return l
}
