package controllers

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// probeSize is how many events are read when there is nothing to prune, which is most of the time.
	probeSize = 10
	// pageSize is the largest page of which events are judged: about 50 ms for the API server, and about a megabyte.
	pageSize = 500
	// countSize is the page when events are only counted: larger, since the API server walks what follows for each.
	countSize = 2000
	// maxPages bounds one turn, so that a trail with a great backlog does not keep a worker for itself.
	maxPages = 20
	// deleteWorkers is how many single deletes are under way; more than 16 gain nothing.
	deleteWorkers = 8
)

// walk is one turn over a trail's events, oldest first.
type walk struct {
	retention *RetentionReconciler
	trail     *v1alpha1.AuditTrail
	trails    map[string]*v1alpha1.AuditTrail
	// excess is by how many the events that name the trail exceed its limit.
	excess int64

	pruned, orphans atomic.Int64
}

// run prunes page by page until nothing more can be due. It returns false when there is more to do.
func (w *walk) run(ctx context.Context) (finished bool, err error) {
	next, limit := "", int64(probeSize)
	for range maxPages {
		page, err := w.list(ctx, limit, next)
		if apierrors.IsResourceExpired(err) {
			return false, nil // the page token is too old: start again
		}
		if err != nil {
			return false, err
		}
		due, last := w.due(page)
		if err := w.prune(ctx, due); err != nil {
			return false, err
		}
		// A whole page without anything to prune is a backlog that waits for delivery: what is after it does too.
		if last || page.Continue == "" || (limit == pageSize && len(due) == 0) {
			return true, nil
		}
		next, limit = page.Continue, pageSize
	}
	return false, nil
}

func (w *walk) list(ctx context.Context, limit int64, next string) (*v1alpha1.AuditEventList, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	var page v1alpha1.AuditEventList
	err := w.retention.Events.List(ctx, &page, client.InNamespace(w.trail.Namespace),
		client.MatchingFields{v1alpha1.FieldTrail: w.trail.Name}, client.Limit(limit), client.Continue(next))
	if err != nil {
		return nil, fmt.Errorf("listing events: %w", err)
	}
	return &page, nil
}

// condemned is an event to prune, and why.
type condemned struct {
	event *v1alpha1.AuditEvent
	why   verdict
}

// due returns the events of a page that are to be pruned, and whether none after the page can be.
func (w *walk) due(page *v1alpha1.AuditEventList) (due []condemned, last bool) {
	v := view{now: w.retention.Clock.Now(), trails: w.trails, resourceVersion: page.ResourceVersion}
	for i := range page.Items {
		event := &page.Items[i]
		own := event.Spec.TrailRef.UID == string(w.trail.UID)
		ttl := defaultTTL
		if own {
			ttl = ttlOf(w.trail)
		}
		if w.excess <= 0 && !mayBeExpired(event, ttl, v.now) {
			return due, true
		}
		why := judge(event, v, own && w.excess > 0)
		if why != keep {
			due = append(due, condemned{event, why})
		}
		// The count includes events of an earlier trail of this name. They are older, so they come first.
		if why != keep || !own {
			w.excess--
		}
	}
	return due, false
}

// prune deletes the events of a page.
func (w *walk) prune(ctx context.Context, due []condemned) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(deleteWorkers)
	for _, each := range due {
		group.Go(func() error {
			if err := w.retention.remove(ctx, each.event); err != nil {
				return err
			}
			if each.why == pruneOrphan || each.event.Spec.TrailRef.UID != string(w.trail.UID) {
				w.orphans.Add(1)
			} else {
				w.pruned.Add(1)
			}
			return nil
		})
	}
	return group.Wait()
}

// report counts and logs what was pruned, also when the turn ended with an error.
func (w *walk) report(log logr.Logger) {
	pruned, orphans := int(w.pruned.Load()), int(w.orphans.Load())
	if pruned > 0 {
		w.retention.Metrics.Retention.Pruned(w.trail.Namespace, w.trail.Name, pruned)
	}
	if orphans > 0 {
		w.retention.Metrics.Retention.OrphansPruned(orphans)
	}
	if pruned+orphans > 0 {
		log.V(1).Info("Pruned events", "pruned", pruned, "orphans", orphans)
	}
}

// remove deletes exactly the event that was judged. One that is gone, or another under its name, is fine.
func (r *RetentionReconciler) remove(ctx context.Context, event *v1alpha1.AuditEvent) error {
	ctx, cancel := context.WithTimeout(ctx, deleteTimeout)
	defer cancel()
	err := r.Client.Delete(ctx, event, client.Preconditions{UID: &event.UID})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("pruning event %s: %w", client.ObjectKeyFromObject(event), err)
	}
	return nil
}
