package conditions

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// maxMessage is what the schema of metav1.Condition allows a message.
const maxMessage = 32768

// True sets a condition to True. now becomes its transition time if its status changes.
func True(trail *v1alpha1.AuditTrail, now time.Time, kind, reason, message string) {
	set(trail, now, kind, metav1.ConditionTrue, reason, message)
}

// False sets a condition to False. now becomes its transition time if its status changes.
func False(trail *v1alpha1.AuditTrail, now time.Time, kind, reason, message string) {
	set(trail, now, kind, metav1.ConditionFalse, reason, message)
}

// Unknown sets a condition to Unknown. now becomes its transition time if its status changes.
func Unknown(trail *v1alpha1.AuditTrail, now time.Time, kind, reason, message string) {
	set(trail, now, kind, metav1.ConditionUnknown, reason, message)
}

// Get finds a condition; nil when it is not there.
func Get(trail *v1alpha1.AuditTrail, kind string) *metav1.Condition {
	return meta.FindStatusCondition(trail.Status.Conditions, kind)
}

// Remove removes a condition.
func Remove(trail *v1alpha1.AuditTrail, kind string) {
	meta.RemoveStatusCondition(&trail.Status.Conditions, kind)
}

// KeepTransitions undoes the transition times of conditions that are what they were before: one that went through another
// status on the way has not changed.
func KeepTransitions(before, trail *v1alpha1.AuditTrail) {
	for i := range trail.Status.Conditions {
		is := &trail.Status.Conditions[i]
		if was := Get(before, is.Type); was != nil && was.Status == is.Status {
			is.LastTransitionTime = was.LastTransitionTime
		}
	}
}

func set(trail *v1alpha1.AuditTrail, now time.Time, kind string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&trail.Status.Conditions, metav1.Condition{
		Type:               kind,
		Status:             status,
		ObservedGeneration: trail.Generation,
		// SetStatusCondition keeps the old time when the status is the same. Kept in seconds as the API stores it, so
		// that what was just set equals what is read back.
		LastTransitionTime: metav1.NewTime(now.Truncate(time.Second)),
		Reason:             reason,
		Message:            message[:min(len(message), maxMessage)],
	})
}
