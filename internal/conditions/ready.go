package conditions

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// readyNeeds are the conditions that Ready sums up, in the order in which they are met. RetentionManaged is not one:
// it needs a permission outside the base policy and never stops delivery.
var readyNeeds = []string{
	v1alpha1.CredentialsValidCondition,
	v1alpha1.DestinationReadyCondition,
	v1alpha1.RecordingCondition,
	v1alpha1.DeliveringCondition,
}

// SetReady computes Ready from the other conditions: False when one is False, else Unknown when one is Unknown or
// missing, else True. Its reason is that of the first condition in the way, so that the Reason column of
// kubectl get audittrails says what is wrong.
func SetReady(trail *v1alpha1.AuditTrail, now time.Time) {
	const kind = v1alpha1.ReadyCondition
	if first := firstWith(trail, metav1.ConditionFalse); first != nil {
		False(trail, now, kind, first.Reason, first.Type+": "+first.Message)
		return
	}
	if first := firstWith(trail, metav1.ConditionUnknown); first != nil {
		Unknown(trail, now, kind, first.Reason, first.Type+": "+first.Message)
		return
	}
	True(trail, now, kind, v1alpha1.ReasonSucceeded, "The trail records, and what it records is delivered")
}

func firstWith(trail *v1alpha1.AuditTrail, status metav1.ConditionStatus) *metav1.Condition {
	for _, kind := range readyNeeds {
		if c := needed(trail, kind); c != nil && c.Status == status {
			return c
		}
	}
	return nil
}

// needed is the condition of one kind as Ready sees it, nil when it does not count.
func needed(trail *v1alpha1.AuditTrail, kind string) *metav1.Condition {
	c := Get(trail, kind)
	switch {
	case c == nil && kind == v1alpha1.DeliveringCondition:
		return nil // Nothing was pushed yet: neither good nor bad.
	case c == nil:
		return &metav1.Condition{
			Type: kind, Status: metav1.ConditionUnknown,
			Reason: v1alpha1.ReasonProgressing, Message: "Not known yet",
		}
	case kind == v1alpha1.DeliveringCondition && c.Reason == v1alpha1.ReasonThrottled:
		return nil // Throttling delays delivery and loses nothing.
	default:
		return c
	}
}
