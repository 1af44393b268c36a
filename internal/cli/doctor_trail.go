package cli

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// How long events may wait, and a ledger may be silent, before somebody should look.
const (
	deliveryOverdue = 10 * time.Minute
	// settling is how long a condition may be what it is without meaning anything: a new trail takes some seconds.
	settling      = time.Minute
	ledgerOverdue = 2 * time.Hour
)

// warnings are the conditions that do not stop delivery when they are False.
var warnings = map[string]bool{
	v1alpha1.RetentionSufficientCondition: true, v1alpha1.RetentionManagedCondition: true, v1alpha1.EncryptionManagedCondition: true,
	v1alpha1.ClassManagedCondition: true, v1alpha1.TagsManagedCondition: true, v1alpha1.CompleteCondition: true,
}

// summaries are conditions that only repeat what others say.
var summaries = map[string]bool{v1alpha1.ReadyCondition: true, v1alpha1.StalledCondition: true}

// trail says what is wrong with one trail. The messages of its conditions name the remedy.
func (e *examination) trail(trail *v1alpha1.AuditTrail) []finding {
	const what = "Trail"
	name := trail.Namespace + "/" + trail.Name
	if trail.Spec.Suspend != nil && *trail.Spec.Suspend {
		return one(doubtful, what, "set spec.suspend to false", "%s is suspended: it records nothing", name)
	}
	var findings []finding
	ready := false
	for i := range trail.Status.Conditions {
		condition := &trail.Status.Conditions[i]
		if condition.Type == v1alpha1.ReadyCondition {
			ready = condition.Status == metav1.ConditionTrue
		}
		if condition.Status != metav1.ConditionTrue && !summaries[condition.Type] {
			findings = append(findings, e.condition(name, condition))
		}
	}
	findings = append(findings, e.lag(name, trail)...)
	switch {
	case len(trail.Status.Conditions) == 0:
		return one(bad, what, "see that a replica of the operator leads: its log says so", "%s has no conditions: the operator has not looked at it", name)
	case len(findings) == 0 && ready:
		return one(good, what, "", "%s is ready%s", name, deliveredText(trail))
	case len(findings) == 0:
		return one(doubtful, what, "wait a few seconds and look again", "%s is not ready yet", name)
	}
	return findings
}

func (e *examination) condition(name string, condition *metav1.Condition) finding {
	f := finding{verdict: bad, what: "Trail", found: fmt.Sprintf("%s: %s is %s (%s)", name, condition.Type, condition.Status, condition.Reason)}
	if warnings[condition.Type] || condition.Status == metav1.ConditionUnknown || condition.Reason == v1alpha1.ReasonProgressing ||
		e.Clock.Now().Sub(condition.LastTransitionTime.Time) < settling {
		f.verdict = doubtful
	}
	f.remedy = condition.Message
	return f
}

// lag says what waits for too long.
func (e *examination) lag(name string, trail *v1alpha1.AuditTrail) []finding {
	var findings []finding
	now := e.Clock.Now()
	if d := trail.Status.Delivery; d != nil && d.Pending > 0 && d.LastDeliveredTime != nil && now.Sub(d.LastDeliveredTime.Time) > deliveryOverdue {
		findings = append(findings, one(doubtful, "Trail", "see its condition Delivering, and docs/operations.md",
			"%s: %s to be delivered, the last was at %s", name, amount(d.Pending, "event waits", "events wait"), moment(d.LastDeliveredTime.Time))...)
	}
	if d, l := trail.Status.Delivery, trail.Status.Ledger; d != nil && l != nil && l.Time != nil && d.Sequence > l.Sequence &&
		now.Sub(l.Time.Time) > ledgerOverdue {
		findings = append(findings, one(doubtful, "Trail", "a policy that names the log stream must name the ledger's too: see docs/ledger.md",
			"%s: the last entry of its ledger is of %s, and %s since", name, moment(l.Time.Time),
			amount(d.Sequence-l.Sequence, "record came", "records came"))...)
	}
	return findings
}

func deliveredText(trail *v1alpha1.AuditTrail) string {
	if trail.Spec.CloudWatch == nil || trail.Status.Delivery == nil {
		return ""
	}
	return fmt.Sprintf(", %s delivered", amount(trail.Status.Delivery.Delivered, "record", "records"))
}
