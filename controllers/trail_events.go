package controllers

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/conditions"
)

// maxNote is what events.k8s.io allows a note, in bytes.
const maxNote = 1024

// emitTransitions emits an Event when Ready changes its status or its reason, through which the conditions that it sums up
// show, and when one of those that it does not becomes False.
func (r *TrailReconciler) emitTransitions(before, trail *v1alpha1.AuditTrail) {
	for _, kind := range append([]string{v1alpha1.ReadyCondition}, settingConditions...) {
		was, is := conditions.Get(before, kind), conditions.Get(trail, kind)
		if is == nil || (was != nil && was.Status == is.Status && was.Reason == is.Reason) {
			continue
		}
		bad := is.Status == metav1.ConditionFalse && is.Reason != v1alpha1.ReasonWebhookPending &&
			is.Reason != v1alpha1.ReasonSuspended && is.Reason != v1alpha1.ReasonDeleting
		if kind == v1alpha1.ReadyCondition || bad {
			r.emit(trail, bad, is)
		}
	}
}

func (r *TrailReconciler) emit(trail *v1alpha1.AuditTrail, bad bool, is *metav1.Condition) {
	eventType := corev1.EventTypeNormal
	if bad {
		eventType = corev1.EventTypeWarning
	}
	r.Events.Eventf(trail, nil, eventType, is.Reason, "Reconcile", "%s", is.Message[:min(len(is.Message), maxNote)])
}

// trailChanged lets through what a trail's reconciliation depends on: its spec and deletion (both raise the
// generation), its annotations, its finalizers, and delivery's condition. Our own status writes and delivery's cursor
// are not among them.
func trailChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok1 := e.ObjectOld.(*v1alpha1.AuditTrail)
		after, ok2 := e.ObjectNew.(*v1alpha1.AuditTrail)
		if !ok1 || !ok2 {
			return true
		}
		return before.Generation != after.Generation ||
			!equality.Semantic.DeepEqual(before.Annotations, after.Annotations) ||
			!equality.Semantic.DeepEqual(before.Finalizers, after.Finalizers) ||
			!equality.Semantic.DeepEqual(
				conditions.Get(before, v1alpha1.DeliveringCondition), conditions.Get(after, v1alpha1.DeliveringCondition))
	}}
}
