package awsauth

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

// ambientSession makes the session of a trail that uses the operator's own identity.
func (a *Authenticator) ambientSession(trail *v1alpha1.AuditTrail, base aws.Config) (*Session, error) {
	if trail.Namespace != a.options.OperatorNamespace {
		return nil, fault.Terminal(v1alpha1.ReasonAmbientNotAllowed, textf(
			"Only trails in namespace %s may use the operator's own identity: use spec.cloudWatch.auth.credentials or "+
				"spec.cloudWatch.auth.sts in place of ambient", a.options.OperatorNamespace))
	}
	key := sessionKey{namespace: trail.Namespace, region: base.Region, generation: trail.Generation}
	return a.session(trail.UID, key, func() *Session {
		return &Session{Config: base, verify: func(ctx context.Context) (v1alpha1.CallerIdentity, error) {
			if err := a.checkOperator(ctx, base, noneOfItsOwn); err != nil {
				return v1alpha1.CallerIdentity{}, err
			}
			return callerIdentity(ctx, base)
		}}
	}), nil
}

// checkOperator makes sure that the operator has an AWS identity. It is asked for by itself, so that the operator lacking
// one is told from AWS refusing it; lacking is what to say then.
func (a *Authenticator) checkOperator(ctx context.Context, base aws.Config, lacking string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if base.Credentials == nil {
		return noIdentity(lacking, nil)
	}
	_, err := base.Credentials.Retrieve(ctx)
	switch {
	case err == nil:
		return nil
	case common[Code(err)] == throttled:
		return throttled.fault(Code(err), "looking up the operator's own identity", err)
	default:
		a.forgetOperator(base.Region)
		return noIdentity(lacking, err)
	}
}

// forgetOperator has the operator's own identity looked up anew when it is used next: it may have been replaced.
func (a *Authenticator) forgetOperator(region string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.regions.Remove(region)
}
