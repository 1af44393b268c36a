package controllers

import (
	"cmp"
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/conditions"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

// auditDays is what an audit asks for: records of a year.
const auditDays = 365

// settingConditions say how a log group's settings are. Each stands for itself: none stops delivery or is part of
// Ready, because all need permissions outside of the base policy.
var settingConditions = []string{
	v1alpha1.RetentionManagedCondition, v1alpha1.EncryptionManagedCondition, v1alpha1.ClassManagedCondition,
	v1alpha1.TagsManagedCondition, v1alpha1.RetentionSufficientCondition,
}

// ensureSettings brings the log group's optional settings into force. It never stops the trail: what is refused shows in a
// condition of its own.
func (r *TrailReconciler) ensureSettings(ctx context.Context, trail *v1alpha1.AuditTrail) error {
	if trail.Spec.CloudWatch == nil {
		for _, kind := range settingConditions {
			conditions.Remove(trail, kind)
		}
		return nil
	}
	if delivering := conditions.Get(trail, v1alpha1.DeliveringCondition); delivering != nil &&
		delivering.Reason == v1alpha1.ReasonDestinationNotFound {
		r.settings.forget(client.ObjectKeyFromObject(trail)) // Delivery makes the group again, without its settings.
	}
	known, due := r.settings.begin(trail, r.Clock.Now())
	if !due {
		return nil
	}
	if !r.limits.mayLook() {
		r.settings.postpone(trail, known, r.Clock.Now())
		return nil
	}
	stream, err := r.Streams.Open(ctx, trail)
	if err != nil {
		return r.reportDestination(trail, err)
	}
	group := &groupSettings{reconciler: r, trail: trail, stream: stream, known: known}
	group.ensure(ctx)
	r.settings.finish(trail, group.known, group.failed, r.Clock.Now())
	return nil
}

// groupSettings is one look at a log group.
type groupSettings struct {
	reconciler *TrailReconciler
	trail      *v1alpha1.AuditTrail
	stream     *cloudwatch.Stream
	// observed is the group, or err says why it is not known.
	observed cloudwatch.Group
	err      error
	// known is what this replica has done already, and failed whether something is to be tried again soon.
	known  doneSettings
	failed bool
}

func (s *groupSettings) ensure(ctx context.Context) {
	s.observed, s.err = s.stream.DescribeGroup(ctx)
	s.ensureRetention(ctx)
	s.judgeRetention()
	s.ensureKey(ctx)
	s.judgeClass()
	s.ensureTags(ctx)
}

func (s *groupSettings) ensureRetention(ctx context.Context) {
	const kind = v1alpha1.RetentionManagedCondition
	days := s.trail.Spec.CloudWatch.RetentionInDays
	described := s.err == nil
	switch {
	case days == nil:
		conditions.Remove(s.trail, kind)
		return
	case described && s.observed.RetentionInDays == *days, !described && s.known.retention:
	case described && s.observed.RetentionPolicy != "":
		s.isFalse(kind, v1alpha1.ReasonRetentionOverridden, fmt.Sprintf(
			"The account-level policy %s of CloudWatch Logs sets this log group's retention to %s: remove retentionInDays, or the policy",
			s.observed.RetentionPolicy, daysText(s.observed.RetentionInDays)))
		return
	default:
		if !s.did(kind, s.stream.SetRetention(ctx, *days)) {
			return
		}
		s.known.retention, s.observed.RetentionInDays = true, *days
	}
	s.isTrue(kind, fmt.Sprintf("CloudWatch Logs keeps the log group's records for %s", daysText(*days)))
}

// judgeRetention warns when records go before a year is over, whoever decides that.
func (s *groupSettings) judgeRetention() {
	const kind = v1alpha1.RetentionSufficientCondition
	days := s.observed.RetentionInDays
	switch {
	case s.err != nil:
		s.unknown(kind, "How long the log group's records are kept is not known")
	case days != 0 && days < auditDays:
		by := "set retentionInDays to 365 or more, or the log group's retention itself"
		if s.observed.RetentionPolicy != "" {
			by = "that is the account-level policy " + s.observed.RetentionPolicy + ", which has to be changed"
		}
		s.isFalse(kind, v1alpha1.ReasonRetentionTooShort, fmt.Sprintf(
			"CloudWatch Logs keeps the log group's records for %s, and an audit asks for a year: %s", daysText(days), by))
	default:
		s.isTrue(kind, "CloudWatch Logs keeps the log group's records for "+daysText(days))
	}
}

func (s *groupSettings) ensureKey(ctx context.Context) {
	const kind = v1alpha1.EncryptionManagedCondition
	key := s.trail.Spec.CloudWatch.KMSKeyARN
	described := s.err == nil
	switch {
	case key == "":
		conditions.Remove(s.trail, kind)
		return
	case described && s.observed.KMSKeyARN == key, !described && s.known.key:
	default:
		if !s.did(kind, s.stream.SetKey(ctx, key)) {
			return
		}
		s.known.key = true
	}
	s.isTrue(kind, "CloudWatch Logs encrypts new records with the key "+key)
}

// judgeClass only looks: AWS takes a class when a group is created, and never again.
func (s *groupSettings) judgeClass() {
	const kind = v1alpha1.ClassManagedCondition
	class := s.trail.Spec.CloudWatch.LogGroupClass
	switch {
	case class == "":
		conditions.Remove(s.trail, kind)
	case s.err == nil && s.observed.Class != class:
		s.isFalse(kind, v1alpha1.ReasonLogGroupClassDiffers, fmt.Sprintf(
			"Log group %s was created with class %s, and AWS cannot change a group's class: make a new AuditTrail with another log "+
				"group, or with logGroupClass %s", s.stream.Group(), s.observed.Class, s.observed.Class))
	case s.err == nil, s.known.created:
		s.isTrue(kind, fmt.Sprintf("The log group's class is %s", class))
	default:
		s.unknown(kind, "The log group's class is not known")
	}
}

// ensureTags puts the tags on the group once for each generation of the spec: looking at them needs yet another
// permission, and AWS allows few calls.
func (s *groupSettings) ensureTags(ctx context.Context) {
	const kind = v1alpha1.TagsManagedCondition
	tags := s.trail.Spec.CloudWatch.Tags
	arn := cmp.Or(s.observed.ARN, s.trail.Status.LogGroupARN)
	switch {
	case len(tags) == 0:
		conditions.Remove(s.trail, kind)
		return
	case s.known.tags:
	case arn == "": // Nothing that was just created has to be listed yet.
		s.failed = true
		conditions.Unknown(s.trail, s.reconciler.Clock.Now(), kind, v1alpha1.ReasonProgressing, "The log group's ARN is not known yet")
		return
	default:
		wanted := make(map[string]string, len(tags))
		for key, value := range tags {
			wanted[key] = string(value)
		}
		if !s.did(kind, s.stream.SetTags(ctx, arn, wanted)) {
			return
		}
		s.known.tags = true
	}
	s.isTrue(kind, "The tags are on the log group")
}

// did says whether a call succeeded, and puts its error into the condition. The condition shows the user; the call is made
// again with a later look.
func (s *groupSettings) did(kind string, err error) bool {
	if err == nil {
		return true
	}
	s.failed = true
	_ = s.reconciler.report(s.trail, kind, err)
	return false
}

func (s *groupSettings) isTrue(kind, message string) {
	conditions.True(s.trail, s.reconciler.Clock.Now(), kind, v1alpha1.ReasonSucceeded, message)
}

func (s *groupSettings) isFalse(kind, reason, message string) {
	conditions.False(s.trail, s.reconciler.Clock.Now(), kind, reason, message)
}

// unknown is for what only DescribeLogGroups could tell. Not being told is not the same as being wrong.
func (s *groupSettings) unknown(kind, what string) {
	found, classified := fault.As(s.err)
	switch {
	case !classified:
		conditions.Unknown(s.trail, s.reconciler.Clock.Now(), kind, v1alpha1.ReasonProgressing, what+"; the operator's log has the details")
	case found.Reason == v1alpha1.ReasonThrottled && stateOf(s.trail, kind) != "":
	default:
		conditions.Unknown(s.trail, s.reconciler.Clock.Now(), kind, found.Reason, what+": "+found.Error())
	}
	s.failed = s.failed || found == nil || found.Reason != v1alpha1.ReasonActionNotAllowed
}

// stateOf is the condition's status, if it speaks of the trail's present spec; else "".
func stateOf(trail *v1alpha1.AuditTrail, kind string) metav1.ConditionStatus {
	if c := conditions.Get(trail, kind); c != nil && c.ObservedGeneration == trail.Generation {
		return c.Status
	}
	return ""
}

func daysText(days int32) string {
	if days == 0 {
		return "ever"
	}
	if days == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%d days", days)
}
