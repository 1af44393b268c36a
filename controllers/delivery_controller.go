package controllers

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// serveEvery is how soon a trail whose delivery ended is served again. Delivery ends when the cursor is not what this
// replica wrote last, which a write that was stored but not answered looks like too.
const serveEvery = 15 * time.Second

// deliverer carries the events of trails.
type deliverer interface {
	Serve(trail *v1alpha1.AuditTrail) error
	Stop(trail types.NamespacedName)
}

// DeliveryReconciler tells delivery which trails there are, and their present spec. It writes nothing: the cursor is
// written by delivery itself.
type DeliveryReconciler struct {
	Reader    client.Reader
	Deliverer deliverer
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
	if apierrors.IsNotFound(err) {
		r.Deliverer.Stop(request.NamespacedName)
		r.Forget(request.Namespace, request.Name)
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: serveEvery}, r.Deliverer.Serve(&trail)
}

// SetupWithManager registers the reconciler.
func (r *DeliveryReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("delivery").
		For(&v1alpha1.AuditTrail{}).
		Complete(r)
}
