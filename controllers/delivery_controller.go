package controllers

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// serveEvery is how soon a trail whose delivery ended is served again. Delivery ends when the cursor is not what this
// replica wrote last, which a write that was stored but not answered looks like too.
const serveEvery = 15 * time.Second

// deliveryWorkers is how many trails are looked at at once. One that stops waits for its courier.
const deliveryWorkers = 4

// deliverer carries the events of trails.
type deliverer interface {
	// Holds is false when another replica delivers the trail with a uid.
	Holds(trail types.UID) bool
	Serve(ctx context.Context, trail *v1alpha1.AuditTrail) error
	Stop(trail types.NamespacedName)
	// Wake has a push that was refused tried again at once.
	Wake(trail types.NamespacedName)
}

// identities are what delivery pushes with.
type identities interface {
	// Borrows says whether a trail needs a grant.
	Borrows(trail *v1alpha1.AuditTrail) bool
	// Changed is told that what a trail's identity is read from has changed or gone.
	Changed(ctx context.Context, trail *v1alpha1.AuditTrail)
}

// DeliveryReconciler tells delivery which trails there are, and their present spec, on every replica. It writes nothing: the
// cursor is written by delivery itself. What the trails that this replica delivers refer to is followed here too: the
// leader, who verifies trails, may be another replica.
type DeliveryReconciler struct {
	Reader     client.Reader
	Deliverer  deliverer
	Identities identities
	Follower   follower
	// Changed has something when other trails than before are this replica's to deliver.
	Changed <-chan event.GenericEvent
	// Forget drops the metrics of a trail that is gone.
	Forget func(namespace, trail string)
}

// What delivery reads and writes.
// +kubebuilder:rbac:groups=audit.trailkeeper.dev,resources=audittrails,verbs=get;list;watch
// +kubebuilder:rbac:groups=audit.trailkeeper.dev,resources=audittrails/status,verbs=patch
// +kubebuilder:rbac:groups=audit.trailkeeper.dev,resources=auditevents,verbs=delete;get;list;watch
// +kubebuilder:rbac:groups=audit.trailkeeper.dev,resources=auditevents/status,verbs=patch

// Where it packs what waits for long.
// +kubebuilder:rbac:groups=audit.trailkeeper.dev,resources=auditeventchunks,verbs=create;delete;get;list,namespace=trailkeeper-system

// Reconcile serves a trail, or stops serving it when it is gone. A trail that is being deleted is served until its
// finalizer is removed, so that what was recorded for it still arrives.
func (r *DeliveryReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var trail v1alpha1.AuditTrail
	err := r.Reader.Get(ctx, request.NamespacedName, &trail)
	gone := apierrors.IsNotFound(err)
	if err != nil && !gone {
		return reconcile.Result{}, err
	}
	if gone {
		r.Forget(request.Namespace, request.Name)
	}
	if gone || !r.Deliverer.Holds(trail.UID) {
		// A trail that was made again under its name may be another replica's.
		r.Deliverer.Stop(request.NamespacedName)
		r.Follower.Forget(request.NamespacedName)
		return reconcile.Result{}, nil
	}
	// Before anything is read of what it refers to, so that no later change is missed.
	r.Follower.Follow(ctx, request.NamespacedName, references(&trail)...)
	return reconcile.Result{RequeueAfter: serveEvery}, r.Deliverer.Serve(ctx, &trail)
}

// IdentityChanged has a push that was refused tried again at once: what the trail's identity is read from changed.
func (r *DeliveryReconciler) IdentityChanged(ctx context.Context, trail types.NamespacedName) {
	var changed v1alpha1.AuditTrail
	if err := r.Reader.Get(ctx, trail, &changed); err == nil {
		r.Identities.Changed(ctx, &changed)
	}
	r.Deliverer.Wake(trail)
}

// grantsChanged does the same for all trails that need a grant. It has nothing reconciled.
func (r *DeliveryReconciler) grantsChanged(ctx context.Context, _ client.Object) []reconcile.Request {
	var trails v1alpha1.AuditTrailList
	if err := r.Reader.List(ctx, &trails); err != nil {
		log.FromContext(ctx).Error(err, "Deliveries notice what is granted to them with their next try")
		return nil
	}
	for i := range trails.Items {
		if r.Identities.Borrows(&trails.Items[i]) {
			r.Deliverer.Wake(client.ObjectKeyFromObject(&trails.Items[i]))
		}
	}
	return nil
}

// everyTrail is asked for when it is not known which of them are served now.
func (r *DeliveryReconciler) everyTrail(ctx context.Context, _ client.Object) []reconcile.Request {
	var trails v1alpha1.AuditTrailList
	if err := r.Reader.List(ctx, &trails); err != nil {
		log.FromContext(ctx).Error(err, "Trails that this replica delivers now are noticed with their next change")
		return nil
	}
	requests := make([]reconcile.Request, 0, len(trails.Items))
	for i := range trails.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&trails.Items[i])})
	}
	return requests
}

// SetupWithManager registers the reconciler.
func (r *DeliveryReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("delivery").
		For(&v1alpha1.AuditTrail{}).
		Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(r.grantsChanged)).
		WatchesRawSource(source.Channel(r.Changed, handler.EnqueueRequestsFromMapFunc(r.everyTrail))).
		WithOptions(controller.Options{NeedLeaderElection: ptr.To(false), MaxConcurrentReconciles: deliveryWorkers}).
		Complete(r)
}
