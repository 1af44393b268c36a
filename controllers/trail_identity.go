package controllers

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/follow"
)

// requestQueue is a controller's queue.
type requestQueue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// references are what a trail's identity is read from. A trail that uses none of it now is not followed.
func references(trail *v1alpha1.AuditTrail) []follow.Object {
	if trail.Spec.CloudWatch == nil || suspended(trail) {
		return nil
	}
	object := follow.Object{NamespacedName: types.NamespacedName{Namespace: trail.Namespace}}
	switch auth := trail.Spec.CloudWatch.Auth; {
	case auth.Credentials != nil:
		object.Kind, object.Name = follow.Secret, auth.Credentials.SecretRef.Name
	case auth.STS != nil && auth.STS.ServiceAccountName != "":
		object.Kind, object.Name = follow.ServiceAccount, auth.STS.ServiceAccountName
	default:
		return nil
	}
	return []follow.Object{object}
}

// IdentityChanged has a trail verified at once: what its identity is read from changed. The replica that delivers the trail
// sees to that itself.
// Before the controller has started there is nothing to do, since it begins with every trail.
func (r *TrailReconciler) IdentityChanged(ctx context.Context, trail types.NamespacedName) {
	var changed v1alpha1.AuditTrail
	if err := r.Client.Get(ctx, trail, &changed); err == nil {
		r.Auth.Changed(ctx, &changed)
	}
	r.checks.forget(trail) // Its schedule begins anew: somebody is at it.
	if queue := r.queue.Load(); queue != nil {
		(*queue).Add(reconcile.Request{NamespacedName: trail})
	}
}

// What roles are granted by; see awsauth.RoleGrantsName.
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=list;watch,resourceNames=trailkeeper-role-grants,namespace=trailkeeper-system

// grantsChanged are the trails that need a grant: what they may do may be another by now. The cache holds one ConfigMap
// only (CacheByName), so that it is the grants that changed.
func (r *TrailReconciler) grantsChanged(ctx context.Context, _ client.Object) []reconcile.Request {
	var trails v1alpha1.AuditTrailList
	if err := r.Client.List(ctx, &trails); err != nil {
		log.FromContext(ctx).Error(err, "Trails notice what is granted to them with their next regular check")
		return nil
	}
	var requests []reconcile.Request
	for i := range trails.Items {
		if r.Auth.Borrows(&trails.Items[i]) {
			key := client.ObjectKeyFromObject(&trails.Items[i])
			r.checks.forget(key)
			requests = append(requests, reconcile.Request{NamespacedName: key})
		}
	}
	return requests
}

// keepQueue keeps the controller's queue for IdentityChanged.
func (r *TrailReconciler) keepQueue() source.Source {
	return source.Func(func(_ context.Context, queue requestQueue) error {
		r.queue.Store(&queue)
		return nil
	})
}
