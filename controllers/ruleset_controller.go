package controllers

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

// RuleSetReconciler keeps this replica's rules.Store up to date. It runs on every replica, because every replica
// records, and writes nothing to the cluster.
type RuleSetReconciler struct {
	// Reader reads trails and namespaces, from the cache.
	Reader client.Reader
	// Options say whose trails are tenant trails and who the operator is. NamespaceLabels is replaced.
	Options rules.Options
	// Store gets the compiled rules.
	Store *rules.Store
}

// +kubebuilder:rbac:groups=audit.trailkeeper.dev,resources=audittrails,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch

// Reconcile compiles all trails, together with a snapshot of the namespaces' labels, so that the admission path reads
// memory only.
func (r *RuleSetReconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	var trails v1alpha1.AuditTrailList
	if err := r.Reader.List(ctx, &trails); err != nil {
		return reconcile.Result{}, fmt.Errorf("listing audit trails: %w", err)
	}
	namespaces := metav1.PartialObjectMetadataList{}
	namespaces.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := r.Reader.List(ctx, &namespaces); err != nil {
		return reconcile.Result{}, fmt.Errorf("listing namespaces: %w", err)
	}
	byName := make(map[string]labels.Set, len(namespaces.Items))
	for i := range namespaces.Items {
		byName[namespaces.Items[i].Name] = namespaces.Items[i].Labels
	}
	options := r.Options
	options.NamespaceLabels = func(name string) (labels.Set, bool) {
		set, known := byName[name]
		return set, known
	}
	r.Store.Swap(rules.Compile(trails.Items, options))
	return reconcile.Result{}, nil
}

// backlogChanged lets through that a trail's backlog is full, and that it is so no more.
func backlogChanged() predicate.Predicate {
	isFull := func(object client.Object) bool {
		trail, ok := object.(*v1alpha1.AuditTrail)
		return ok && trail.BacklogIsFull()
	}
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool { return isFull(e.ObjectOld) != isFull(e.ObjectNew) }}
}

// SetupWithManager adds the reconciler to the manager.
func (r *RuleSetReconciler) SetupWithManager(mgr ctrl.Manager) error {
	const set = "rules"
	return ctrl.NewControllerManagedBy(mgr).
		Named("ruleset").
		Watches(&v1alpha1.AuditTrail{}, enqueueOnly(set), builder.WithPredicates(
			predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, backlogChanged()))).
		WatchesMetadata(&corev1.Namespace{}, enqueueOnly(set), builder.WithPredicates(predicate.LabelChangedPredicate{})).
		WatchesRawSource(atStart(set)).
		WithOptions(controller.Options{
			NeedLeaderElection: ptr.To(false), RateLimiter: quickRetries(), ReconciliationTimeout: 30 * time.Second,
		}).
		Complete(r)
}
