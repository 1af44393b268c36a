package controllers

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/metrics"
)

const (
	// retentionInterval is how often a trail's events are looked at.
	retentionInterval = 30 * time.Second
	// retentionBacklogInterval is how soon they are looked at again when there was more than one turn may prune.
	retentionBacklogInterval = time.Second
	retentionJitter          = 0.2

	listTimeout = 30 * time.Second

	// countShare bounds how much of the time a trail's events may be being counted: one part in countShare.
	countShare = 20
)

// +kubebuilder:rbac:groups=audit.trailkeeper.dev,resources=auditevents,verbs=list;delete
// +kubebuilder:rbac:groups=audit.trailkeeper.dev,resources=audittrails,verbs=get;list;watch

// RetentionReconciler prunes the events of each trail that are delivered and too old or too many. It reconciles
// trails rather than running one loop over them, so that one trail's backlog or error does not hold up the others.
// It writes no status.
type RetentionReconciler struct {
	// Client reads trails from the cache and deletes events.
	Client client.Client
	// Events lists events from the API server: they are far too many to cache.
	Events client.Reader
	// Namespace is the operator's own, where chunks of events are.
	Namespace string
	// Metrics counts what is pruned.
	Metrics *metrics.Metrics
	// Clock is the real one when nil.
	Clock clock.PassiveClock

	mu sync.Mutex
	// countAfter is when a trail's events may be counted again.
	countAfter map[client.ObjectKey]time.Time
}

// SetupWithManager registers the reconciler, and the sweep for events without a trail. Both run on the leader.
func (r *RetentionReconciler) SetupWithManager(mgr ctrl.Manager) error {
	if r.Clock == nil {
		r.Clock = clock.RealClock{}
	}
	err := ctrl.NewControllerManagedBy(mgr).
		Named("retention").
		// Deliveries write status all the time; a changed spec is all that must be acted on at once.
		For(&v1alpha1.AuditTrail{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: 2,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](time.Second, 2*time.Minute),
		}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("setting up the retention controller: %w", err)
	}
	return mgr.Add(&orphanSweep{retention: r})
}

// Reconcile prunes one trail's events, oldest first, and asks to be called again.
func (r *RetentionReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var trail v1alpha1.AuditTrail
	if err := r.Client.Get(ctx, req.NamespacedName, &trail); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(req.NamespacedName)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, fmt.Errorf("reading the trail: %w", err)
	}
	trails, err := r.trailsByUID(ctx, r.Client)
	if err != nil {
		return ctrl.Result{}, err
	}
	excess, err := r.excess(ctx, &trail)
	if err != nil {
		return ctrl.Result{}, err
	}
	w := walk{retention: r, trail: &trail, trails: trails, excess: excess}
	finished, err := w.run(ctx)
	w.report(log.FromContext(ctx).WithValues("trail", req.String()))
	if err != nil {
		return ctrl.Result{}, err
	}
	if !finished {
		return ctrl.Result{RequeueAfter: wait.Jitter(retentionBacklogInterval, retentionJitter)}, nil
	}
	return ctrl.Result{RequeueAfter: wait.Jitter(retentionInterval, retentionJitter)}, nil
}

// trailsByUID must be called before events are listed: see view.
func (r *RetentionReconciler) trailsByUID(ctx context.Context, reader client.Reader) (map[string]*v1alpha1.AuditTrail, error) {
	var list v1alpha1.AuditTrailList
	if err := reader.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("listing trails: %w", err)
	}
	trails := make(map[string]*v1alpha1.AuditTrail, len(list.Items))
	for i := range list.Items {
		trails[string(list.Items[i].UID)] = &list.Items[i]
	}
	return trails, nil
}

// excess is by how many a trail's events exceed its limit; 0 also when it is too early to count again.
//
// The API server counts a namespace for nothing: a list of one item says how many remain. It does not when a selector
// is given, and a namespace may hold several trails' events; so only when the namespace has more than the trail may
// have are the trail's own counted, by pages of metadata, and no further than one turn may prune: for each page the API
// server walks all events that follow. The next count waits for 19 times as long as this one took.
func (r *RetentionReconciler) excess(ctx context.Context, trail *v1alpha1.AuditTrail) (int64, error) {
	limit := maxEventsOf(trail)
	page, err := r.listMetadata(ctx, client.InNamespace(trail.Namespace), client.Limit(1))
	if err != nil {
		return 0, err
	}
	total := int64(len(page.Items))
	if page.RemainingItemCount != nil {
		total += *page.RemainingItemCount
	}
	if page.Continue != "" && page.RemainingItemCount == nil {
		total = limit + 1 // the server does not say: count
	}
	key := client.ObjectKeyFromObject(trail)
	if total <= limit || r.Clock.Now().Before(r.nextCount(key)) {
		return 0, nil
	}
	start := r.Clock.Now()
	counted, err := r.count(ctx, trail, limit+maxPages*pageSize)
	r.setNextCount(key, r.Clock.Now().Add((countShare-1)*r.Clock.Since(start)))
	return max(counted-limit, 0), err
}

// count counts the events that name the trail, by pages, and stops when it has enough.
func (r *RetentionReconciler) count(ctx context.Context, trail *v1alpha1.AuditTrail, enough int64) (int64, error) {
	var counted int64
	next := ""
	for {
		page, err := r.listMetadata(ctx, client.InNamespace(trail.Namespace),
			client.MatchingFields{v1alpha1.FieldTrail: trail.Name}, client.Limit(countSize), client.Continue(next))
		if err != nil {
			return 0, err
		}
		counted += int64(len(page.Items))
		if next = page.Continue; next == "" || counted >= enough {
			return counted, nil
		}
	}
}

func (r *RetentionReconciler) listMetadata(ctx context.Context, options ...client.ListOption) (*metav1.PartialObjectMetadataList, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	page := &metav1.PartialObjectMetadataList{}
	page.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("AuditEventList"))
	if err := r.Events.List(ctx, page, options...); err != nil {
		return nil, fmt.Errorf("listing events' metadata: %w", err)
	}
	return page, nil
}

func (r *RetentionReconciler) nextCount(trail client.ObjectKey) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.countAfter[trail]
}

func (r *RetentionReconciler) setNextCount(trail client.ObjectKey, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.countAfter == nil {
		r.countAfter = map[client.ObjectKey]time.Time{}
	}
	r.countAfter[trail] = at
}

func (r *RetentionReconciler) forget(trail client.ObjectKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.countAfter, trail)
}
