package outcome

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/objects"
)

// maxGlance bounds the objects that a glance remembers, in bytes.
const maxGlance = 4 << 20

// glance reads each object once, for events that are judged together. All of them are due when it begins, so what it
// read for one is as good for another.
type glance struct {
	objects objects.Reader
	// began is before anything was read.
	began time.Time

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
	seen objects.Sight
	err  error
}

// KeepGlance lets what is read for some events of a backlog serve those that follow, until dropGlance is called: it was
// recorded before the first of them was read.
func (j *Judge) KeepGlance() { j.keeping = true }

// DropGlance ends that.
func (j *Judge) DropGlance() { j.keeping, j.kept = false, nil }

// glanceFor is the one that was kept, if all the events were due when it began, and their requests had ended, or a new one.
func (j *Judge) glanceFor(open []openCase) *glance {
	if j.kept != nil && !slices.ContainsFunc(open, func(c openCase) bool {
		return c.event.Due(j.Settle).After(j.kept.began) || c.event.MayBeKept > 0 && ended(c.event).After(j.kept.began)
	}) {
		return j.kept
	}
	g := &glance{objects: j.Objects, began: j.Clock.Now(), looks: map[lookKey]*look{}}
	if j.keeping {
		j.kept = g
	}
	return g
}

// Survey reads the objects of places of which many are wanted by one list each. Those that it does not show, because a
// list is refused or too long, are read one by one later.
func (j *Judge) survey(ctx context.Context, g *glance, open []openCase) {
	type search struct {
		ref    *v1alpha1.ResourceReference
		whole  bool
		wanted map[string]bool
	}
	searches := map[string]*search{}
	for _, c := range open {
		ref := &c.event.Head.Resource
		if g.knows(ref, needsBody(&c.event.Head)) {
			continue
		}
		path := objects.CollectionPath(ref)
		if searches[path] == nil {
			searches[path] = &search{ref: ref, wanted: map[string]bool{}}
		}
		searches[path].wanted[ref.Name] = true
		searches[path].whole = searches[path].whole || needsBody(&c.event.Head)
	}
	for _, s := range searches {
		now := j.Clock.Now()
		if len(s.wanted) < objects.SurveyFrom || j.crowded.has(s.ref, now) || j.forbidden.has(s.ref, now) {
			continue
		}
		if err := g.survey(ctx, s.ref, s.whole, s.wanted); err != nil {
			// That is not tried again for a while, so this is not said for every batch either.
			j.crowded.add(s.ref, now)
			log.FromContext(ctx).V(1).Info("Reading objects one by one that one list should have shown", "cause", err.Error(),
				"resource", s.ref.Resource, "namespace", s.ref.Namespace, "wanted", len(s.wanted), "for", forbiddenFor.String())
		}
	}
}

// errTooLong says that a list was given up.
var errTooLong = errors.New("the list has far more than what is wanted")

// Survey lists a place, and notes what the list shows of the wanted objects, and that it does not show the others. It
// fails when the list is refused or too long.
func (g *glance) survey(ctx context.Context, ref *v1alpha1.ResourceReference, whole bool, wanted map[string]bool) error {
	missing := maps.Clone(wanted)
	complete, err := g.objects.Survey(ctx, ref, 0, whole, wanted, func(name string, seen objects.Sight) {
		delete(missing, name)
		g.note(ref, name, whole, seen)
	})
	if err != nil {
		return err
	}
	if !complete {
		return errTooLong
	}
	for name := range missing {
		g.note(ref, name, whole, objects.Sight{})
	}
	return nil
}

// note remembers what a list showed, which is consistent, if there is room for it.
func (g *glance) note(ref *v1alpha1.ResourceReference, name string, whole bool, seen objects.Sight) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.bytes+len(seen.Body) > maxGlance {
		return
	}
	g.bytes += len(seen.Body)
	known := &look{seen: seen}
	known.once.Do(func() {})
	path := objects.CollectionPath(ref) + "/" + name
	for _, consistent := range []bool{false, true} {
		g.looks[lookKey{path, false, consistent}] = known
		if whole {
			g.looks[lookKey{path, true, consistent}] = known
		}
	}
}

// knows says whether the object was looked at already.
func (g *glance) knows(ref *v1alpha1.ResourceReference, whole bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.looks[lookKey{objects.ObjectPath(ref), whole, false}]
	return ok
}

// Read is as the reader's. A read that failed is not remembered.
func (g *glance) read(ctx context.Context, ref *v1alpha1.ResourceReference, whole, consistent bool) (objects.Sight, error) {
	key := lookKey{objects.ObjectPath(ref), whole, consistent}
	l := g.lookAt(key)
	l.once.Do(func() {
		l.seen, l.err = g.objects.Read(ctx, ref, whole, consistent)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.bytes += len(l.seen.Body)
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
