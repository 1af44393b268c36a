package controllers

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/conditions"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

// drainPoll is how often a deleted trail looks whether delivery is done.
const drainPoll = 2 * time.Second

// reconcileDeletion waits until what was recorded is pushed and vouched for, deletes the log streams if the trail wants that,
// and lets the trail go. Its AuditEvents stay for retention to prune.
func (r *TrailReconciler) reconcileDeletion(ctx context.Context, trail *v1alpha1.AuditTrail) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(trail, v1alpha1.TrailFinalizer) {
		return ctrl.Result{}, nil
	}
	left, err := r.wrapUp(ctx, trail)
	if left != "" && r.Clock.Since(trail.DeletionTimestamp.Time) < r.DrainTimeout {
		if err != nil {
			log.FromContext(ctx).V(1).Info("Waiting to let the trail go", "trail", client.ObjectKeyFromObject(trail), "cause", err.Error())
		}
		conditions.False(trail, r.Clock.Now(), v1alpha1.ReadyCondition, v1alpha1.ReasonDeleting, "Deleting: "+left)
		conditions.Remove(trail, v1alpha1.StalledCondition)
		trail.Status.ObservedGeneration = trail.Generation
		return ctrl.Result{RequeueAfter: drainPoll}, nil
	}
	if left != "" {
		r.emitLeftBehind(ctx, trail, left)
	}
	if err := r.patchMetadata(ctx, trail, func() { controllerutil.RemoveFinalizer(trail, v1alpha1.TrailFinalizer) }); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if r.Auth != nil {
		r.Auth.Forget(trail)
	}
	r.forget(client.ObjectKeyFromObject(trail))
	return ctrl.Result{}, nil
}

// emitLeftBehind says what a trail leaves behind. A namespace that is being deleted takes no new Event, so there it is one
// of the namespace itself, which Kubernetes keeps in the namespace default.
func (r *TrailReconciler) emitLeftBehind(ctx context.Context, trail *v1alpha1.AuditTrail, left string) {
	log.FromContext(ctx).Info("Letting a trail go that leaves something behind", "trail", client.ObjectKeyFromObject(trail), "left", left)
	var regarding runtime.Object = trail
	namespace := &corev1.Namespace{}
	if err := r.Reader.Get(ctx, client.ObjectKey{Name: trail.Namespace}, namespace); err == nil && !namespace.DeletionTimestamp.IsZero() {
		regarding = namespace
	}
	note := fmt.Sprintf("AuditTrail %s/%s was deleted after waiting %s: %s", trail.Namespace, trail.Name, r.DrainTimeout, left)
	r.Events.Eventf(regarding, nil, corev1.EventTypeWarning, "LeftBehind", "Delete", "%s", note[:min(len(note), maxNote)])
}

// wrapUp does what is to be done before the trail goes. left says what is still missing, "" when nothing is.
func (r *TrailReconciler) wrapUp(ctx context.Context, trail *v1alpha1.AuditTrail) (left string, err error) {
	if trail.Spec.Type == v1alpha1.TrailTypeClusterOnly {
		return "", nil
	}
	drained, err := r.Drainer.Drained(ctx, trail)
	if err != nil || !drained {
		return "recorded events are not delivered to " + trail.Status.Destination, err
	}
	if !r.Drainer.Closed(trail) {
		return "the ledger's last checkpoint is not written to " + trail.Status.Destination, nil
	}
	if trail.Spec.DeletionPolicy != v1alpha1.DeletionPolicyDeleteStream {
		return "", nil
	}
	if made := trail.Status.StreamCreatedByOperator; made != nil && *made {
		if left, err := r.deleteStream(ctx, trail, trail.Status.LogStreamName, r.Streams.Open); left != "" {
			return left, err
		}
	}
	if book := trail.Status.Ledger; book != nil && book.StreamCreatedByOperator != nil && *book.StreamCreatedByOperator {
		return r.deleteStream(ctx, trail, book.LogStreamName, r.Streams.OpenLedger)
	}
	return "", nil
}

// deleteStream deletes a log stream. left says what is still there, "" when nothing is.
func (r *TrailReconciler) deleteStream(
	ctx context.Context, trail *v1alpha1.AuditTrail, name string, open func(context.Context, *v1alpha1.AuditTrail) (*cloudwatch.Stream, error),
) (left string, err error) {
	stream, err := open(ctx, trail)
	if err == nil {
		err = stream.Delete(ctx)
	}
	if err == nil {
		return "", nil
	}
	left = "log stream " + name + " is not deleted"
	if found, ok := fault.As(err); ok {
		left += ": " + found.Error()
	}
	return left, fmt.Errorf("deleting the log stream: %w", err)
}
