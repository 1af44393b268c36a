package awsauth

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

// callTimeout bounds every call to STS.
const callTimeout = 10 * time.Second

// Session is a trail's AWS identity: its credentials, and who AWS takes them for.
type Session struct {
	// Config has the trail's region and credentials, the SDK's standard endpoints, and no retries.
	Config aws.Config

	key    sessionKey
	verify func(context.Context) (v1alpha1.CallerIdentity, error)
	known  atomic.Pointer[v1alpha1.CallerIdentity]
}

// Format keeps the credentials out of whatever a session is printed into, by any verb.
func (*Session) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "(session)") }

// MarshalLog implements logr.Marshaler: loggers that write JSON would look into Config.
func (*Session) MarshalLog() any { return "(session)" }

// Verify asks AWS who the trail is: sts:GetCallerIdentity for access keys, the answer of sts:AssumeRole for roles
// (asked again when the credentials expire). Its errors are faults.
//
// STS out of reach is ReasonUnreachable, which need not stop the caller: CloudWatch Logs answers the same question.
func (s *Session) Verify(ctx context.Context) (v1alpha1.CallerIdentity, error) {
	identity, err := s.verify(ctx)
	if err != nil {
		return v1alpha1.CallerIdentity{}, err
	}
	s.known.Store(&identity)
	return identity, nil
}

// Identity is who AWS takes the trail for. It asks only as long as that is not known.
func (s *Session) Identity(ctx context.Context) (v1alpha1.CallerIdentity, error) {
	if known := s.known.Load(); known != nil {
		return *known, nil
	}
	return s.Verify(ctx)
}

// Learn is told who AWS takes the trail for by somebody else than STS; the ARN may be missing.
func (s *Session) Learn(identity v1alpha1.CallerIdentity) { s.known.Store(&identity) }

// CheckAccount refuses an identity in another account than the trail has delivered to so far, unless the trail
// accepts that account by annotation: a swapped Secret must not redirect an audit trail unnoticed.
func CheckAccount(trail *v1alpha1.AuditTrail, identity v1alpha1.CallerIdentity) error {
	before := trail.Status.CallerIdentity
	if before == nil || before.AccountID == identity.AccountID ||
		trail.Annotations[v1alpha1.AcceptAccountAnnotation] == identity.AccountID {
		return nil
	}
	return fault.Wait(v1alpha1.ReasonAccountChanged, 0, textf(
		"The credentials belong to AWS account %s, and so far the trail delivered to account %s: "+
			"use credentials of that account, or annotate the trail with %s=%s",
		identity.AccountID, before.AccountID, v1alpha1.AcceptAccountAnnotation, identity.AccountID))
}

// callerIdentity asks STS who the credentials in cfg belong to. It needs no permission.
func callerIdentity(ctx context.Context, cfg aws.Config) (v1alpha1.CallerIdentity, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return v1alpha1.CallerIdentity{}, Fault("sts:GetCallerIdentity", err)
	}
	return identityOf(aws.ToString(out.Arn))
}

func identityOf(text string) (v1alpha1.CallerIdentity, error) {
	parsed, err := arn.Parse(text)
	if err != nil || len(parsed.AccountID) != 12 {
		return v1alpha1.CallerIdentity{}, fault.Wait(v1alpha1.ReasonAWSError, 0,
			textf("STS answered with an identity that is not an ARN with an account"))
	}
	return v1alpha1.CallerIdentity{ARN: text, AccountID: parsed.AccountID}, nil
}
