package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/awsauth"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/conditions"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

// errWebhookPending is not a failure of anything, only not done yet.
var errWebhookPending = errors.New("the webhook configuration does not include the trail yet")

// setScope says what the trail sees. It follows from its place alone, so that no field can raise it.
func (r *TrailReconciler) setScope(_ context.Context, trail *v1alpha1.AuditTrail) error {
	trail.Status.Scope = v1alpha1.ScopeProject
	if trail.Namespace == r.OperatorNamespace {
		trail.Status.Scope = v1alpha1.ScopeTenant
	}
	if destination := trail.Spec.CloudWatch; destination != nil {
		trail.Status.Destination = destination.Region + ":" + destination.LogGroupName
		trail.Status.ExternalID = r.Auth.ExternalID(trail)
		trail.Status.LogStreamName = r.Streams.StreamName(trail)
	}
	return nil
}

// verifyIdentity asks AWS who the trail is.
func (r *TrailReconciler) verifyIdentity(ctx context.Context, trail *v1alpha1.AuditTrail) error {
	const kind = v1alpha1.CredentialsValidCondition
	if trail.Spec.Type == v1alpha1.TrailTypeClusterOnly {
		conditions.True(trail, r.Clock.Now(), kind, v1alpha1.ReasonClusterOnly, "The trail needs no credentials")
		return nil
	}
	session, err := r.Auth.Session(ctx, trail)
	if err != nil {
		return r.report(trail, kind, err)
	}
	identity, err := session.Verify(ctx)
	if err != nil {
		// CloudWatch Logs answers the same question in the next step, if there is time left to ask.
		if cloudwatch.Inconclusive(err) && ctx.Err() == nil {
			if stateOf(trail, kind) == "" {
				_ = r.report(trail, kind, err)
			}
			return nil
		}
		return r.report(trail, kind, err)
	}
	if err := awsauth.CheckAccount(trail, identity); err != nil {
		return r.report(trail, kind, err)
	}
	trail.Status.CallerIdentity = &identity
	conditions.True(trail, r.Clock.Now(), kind, v1alpha1.ReasonSucceeded, "AWS accepts the credentials as "+identity.ARN)
	return nil
}

// ensureDestination makes sure of the log group and the log stream.
func (r *TrailReconciler) ensureDestination(ctx context.Context, trail *v1alpha1.AuditTrail) error {
	const kind = v1alpha1.DestinationReadyCondition
	if trail.Spec.Type == v1alpha1.TrailTypeClusterOnly {
		conditions.True(trail, r.Clock.Now(), kind, v1alpha1.ReasonClusterOnly, "Events stay in the cluster")
		return nil
	}
	stream, err := r.Streams.Open(ctx, trail)
	if err != nil {
		return r.report(trail, v1alpha1.CredentialsValidCondition, err)
	}
	observed, err := stream.Ensure(ctx)
	if err != nil {
		return r.reportDestination(trail, err)
	}
	if observed.LogGroupARN != "" {
		trail.Status.LogGroupARN = observed.LogGroupARN
	}
	if observed.StreamCreated || trail.Status.StreamCreatedByOperator == nil {
		trail.Status.StreamCreatedByOperator = &observed.StreamCreated
	}
	if observed.GroupCreated {
		r.settings.created(trail)
	}
	if err := r.proveWrite(ctx, trail, stream); err != nil {
		return r.reportDestination(trail, err)
	}
	now := r.Clock.Now()
	if stateOf(trail, v1alpha1.CredentialsValidCondition) != metav1.ConditionTrue {
		conditions.True(trail, now, v1alpha1.CredentialsValidCondition, v1alpha1.ReasonSucceeded,
			"CloudWatch Logs accepts the credentials; STS could not be asked whose they are")
	}
	conditions.True(trail, now, kind, v1alpha1.ReasonSucceeded,
		fmt.Sprintf("Log stream %s is there in log group %s", stream.Name(), stream.Group()))
	return nil
}

// reportDestination puts an error of CloudWatch Logs where it belongs: bad keys are no fault of the destination, and
// what refuses an action has accepted the credentials.
func (r *TrailReconciler) reportDestination(trail *v1alpha1.AuditTrail, err error) error {
	switch reason := fault.ReasonOf(err); {
	case reason == v1alpha1.ReasonInvalidAccessKey && trail.Spec.CloudWatch.Auth.STS != nil:
		return r.report(trail, v1alpha1.CredentialsValidCondition, fault.Wait(v1alpha1.ReasonRegionUnusable, 0, fault.Text(
			"CloudWatch Logs does not know the role's session, which STS has just made: enable spec.cloudWatch.region in the role's "+
				"account, or make a trail in another region", err)))
	case slices.Contains(credentialReasons, reason):
		return r.report(trail, v1alpha1.CredentialsValidCondition, err)
	default:
		return r.report(trail, v1alpha1.DestinationReadyCondition, err)
	}
}

// credentialReasons are those of CloudWatch Logs' errors that speak of the credentials.
var credentialReasons = []string{
	v1alpha1.ReasonInvalidAccessKey, v1alpha1.ReasonSignatureMismatch, v1alpha1.ReasonTokenExpired,
	v1alpha1.ReasonRoleNotAssumable, v1alpha1.ReasonNoIdentity,
}

// proveWrite finds out that PutLogEvents is not allowed before the first event has to tell. What says nothing about the
// trail, such as being throttled, is no reason to hold it back: group and stream are there.
func (r *TrailReconciler) proveWrite(ctx context.Context, trail *v1alpha1.AuditTrail, stream *cloudwatch.Stream) error {
	now := r.Clock.Now()
	if !r.proofs.needed(trail, now) {
		return nil
	}
	err := stream.ProbeWrite(ctx, now)
	if err == nil {
		r.proofs.proven(trail, now)
		return nil
	}
	switch cloudwatch.ClassOf(err) {
	case cloudwatch.ClassAuth, cloudwatch.ClassQuota, cloudwatch.ClassNotFound:
		return err
	default:
		log.FromContext(ctx).V(1).Info("Whether the trail may write is left open", "trail", client.ObjectKeyFromObject(trail), "cause", err.Error())
		return nil
	}
}

// checkRecording says whether the API server sends what the trail asks for.
func (r *TrailReconciler) checkRecording(_ context.Context, trail *v1alpha1.AuditTrail) error {
	const kind = v1alpha1.RecordingCondition
	switch {
	case suspended(trail):
		conditions.False(trail, r.Clock.Now(), kind, v1alpha1.ReasonSuspended, "spec.suspend is true")
		return nil
	case trail.BacklogIsFull():
		conditions.False(trail, r.Clock.Now(), kind, v1alpha1.ReasonBacklogFull,
			"So many events wait for the destination that no more are recorded: repair it, as the other conditions say, or set spec.suspend")
		return nil
	case !r.Recorded.Recorded(trail):
		conditions.False(trail, r.Clock.Now(), kind, v1alpha1.ReasonWebhookPending,
			"The webhook configuration does not include the trail's rules yet")
		return fault.Wait(v1alpha1.ReasonWebhookPending, 0, errWebhookPending)
	}
	conditions.True(trail, r.Clock.Now(), kind, v1alpha1.ReasonSucceeded, "The API server sends what the trail asks for")
	return nil
}

// summarize computes Ready last. Stalled is there only while nothing but another spec helps, so that whoever waits for the
// trail by kstatus's rules stops waiting; for anything else kstatus goes on waiting while Ready is not True.
func (r *TrailReconciler) summarize(trail *v1alpha1.AuditTrail, failed error) {
	trail.Status.ObservedGeneration = trail.Generation
	if found, ok := fault.As(failed); ok && found.Terminal && !suspended(trail) {
		conditions.True(trail, r.Clock.Now(), v1alpha1.StalledCondition, found.Reason, found.Error())
	} else {
		conditions.Remove(trail, v1alpha1.StalledCondition)
	}
	if suspended(trail) { // Rather than what was wrong with AWS when it was last looked at.
		conditions.False(trail, r.Clock.Now(), v1alpha1.ReadyCondition, v1alpha1.ReasonSuspended, "spec.suspend is true")
		return
	}
	conditions.SetReady(trail, r.Clock.Now())
}

// report puts err into a condition and returns it. What says nothing about the state leaves the state alone: being
// throttled keeps a condition as it is, and what cannot be told is Unknown rather than False.
func (r *TrailReconciler) report(trail *v1alpha1.AuditTrail, kind string, err error) error {
	now := r.Clock.Now()
	found, classified := fault.As(err)
	switch {
	case !classified:
		conditions.Unknown(trail, now, kind, v1alpha1.ReasonProgressing,
			"The check could not be made and is repeated; the operator's log has the details")
	case found.Reason == v1alpha1.ReasonThrottled && stateOf(trail, kind) != "":
	case found.Reason == v1alpha1.ReasonThrottled, found.Reason == v1alpha1.ReasonUnreachable,
		found.Reason == v1alpha1.ReasonAWSError, found.Reason == v1alpha1.ReasonLogGroupBusy:
		conditions.Unknown(trail, now, kind, found.Reason, found.Error())
	default:
		conditions.False(trail, now, kind, found.Reason, found.Error())
	}
	return err
}

func suspended(trail *v1alpha1.AuditTrail) bool {
	return trail.Spec.Suspend != nil && *trail.Spec.Suspend
}
