package awsauth

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

const (
	// defaultDuration is the API's default for durationSeconds.
	defaultDuration = 3600
	// expiryWindow is how long before their end assumed credentials are replaced, so that no call starts with
	// credentials that end before it does. The shortest session is 900 s.
	expiryWindow = 2 * time.Minute
)

// roleSession makes the session of a trail that assumes a role. Whether it may is asked each time, so that a grant that
// was withdrawn ends the use of credentials that were got by it.
func (a *Authenticator) roleSession(ctx context.Context, trail *v1alpha1.AuditTrail, base aws.Config) (*Session, error) {
	spec := trail.Spec.CloudWatch.Auth.STS
	if spec.ExternalID != "" && trail.Namespace != a.options.OperatorNamespace {
		return nil, fault.Terminal(v1alpha1.ReasonExternalIDNotAllowed, textf(
			"Only trails in namespace %s may set externalID: remove it, and let the role's trust policy ask for %q",
			a.options.OperatorNamespace, a.options.ClusterID+"/"+trail.Namespace))
	}
	if err := a.checkGrant(ctx, trail); err != nil {
		a.Forget(trail)
		return nil, err
	}
	key := sessionKey{
		namespace:  trail.Namespace,
		region:     base.Region,
		generation: trail.Generation,
		roleARN:    spec.RoleARN,
		externalID: a.ExternalID(trail),
		account:    spec.ServiceAccountName,
	}
	if kept := a.kept(trail.UID); kept != nil && kept.key.generation != key.generation {
		// The deletion of a trail is another generation of it.
		before := key
		before.generation = kept.key.generation
		if kept.key == before && a.leaving(ctx, trail.Namespace) {
			return kept, nil
		}
	}
	return a.session(trail.UID, key, func() *Session {
		role := &roleProvider{
			// The operator's own identity is looked up for each assumption, because it changes too.
			base:   func(ctx context.Context) (aws.Config, error) { return a.region(ctx, base.Region) },
			assume: a.assumeRole(trail),
		}
		if spec.ServiceAccountName != "" {
			role.assume = a.assumeWithToken(trail)
		}
		cfg := base.Copy()
		// Without the cache every call to CloudWatch Logs would assume the role again.
		cfg.Credentials = aws.NewCredentialsCache(role, func(o *aws.CredentialsCacheOptions) {
			o.ExpiryWindow, o.ExpiryWindowJitterFrac = expiryWindow, 0.5
		})
		return &Session{Config: cfg, verify: func(ctx context.Context) (v1alpha1.CallerIdentity, error) {
			if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
				return v1alpha1.CallerIdentity{}, Fault("sts:AssumeRole", err)
			}
			return *role.identity.Load(), nil
		}}
	}), nil
}

// assumption is what both ways to assume a role answer.
type assumption struct {
	credentials *ststypes.Credentials
	user        *ststypes.AssumedRoleUser
}

// roleProvider is an aws.CredentialsProvider that assumes a role and remembers as whom. The SDK's own providers
// do not say who the role's user is, and take no context for the token of a web identity.
type roleProvider struct {
	base     func(context.Context) (aws.Config, error)
	assume   assume
	identity atomic.Pointer[v1alpha1.CallerIdentity]
}

// assume assumes a role at STS. base has the operator's own identity.
type assume func(ctx context.Context, base aws.Config) (assumption, error)

// Retrieve implements aws.CredentialsProvider. Its errors are faults.
func (p *roleProvider) Retrieve(ctx context.Context) (aws.Credentials, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	base, err := p.base(ctx)
	if err != nil {
		return aws.Credentials{}, err
	}
	assumed, err := p.assume(ctx, base)
	if err != nil {
		return aws.Credentials{}, err
	}
	if assumed.credentials == nil || assumed.user == nil {
		return aws.Credentials{}, fault.Wait(v1alpha1.ReasonAWSError, 0, textf("STS answered without credentials"))
	}
	identity, err := identityOf(aws.ToString(assumed.user.Arn))
	if err != nil {
		return aws.Credentials{}, err
	}
	p.identity.Store(&identity)
	return aws.Credentials{
		AccessKeyID:     aws.ToString(assumed.credentials.AccessKeyId),
		SecretAccessKey: aws.ToString(assumed.credentials.SecretAccessKey),
		SessionToken:    aws.ToString(assumed.credentials.SessionToken),
		AccountID:       identity.AccountID,
		Source:          "trailkeeper",
		CanExpire:       true,
		Expires:         aws.ToTime(assumed.credentials.Expiration),
	}, nil
}

// assumeRole assumes the trail's role with the operator's own identity.
func (a *Authenticator) assumeRole(trail *v1alpha1.AuditTrail) assume {
	spec := trail.Spec.CloudWatch.Auth.STS
	input := &sts.AssumeRoleInput{
		RoleArn:         aws.String(spec.RoleARN),
		RoleSessionName: aws.String(sessionName(trail)),
		DurationSeconds: aws.Int32(duration(spec)),
		Policy:          aws.String(sessionPolicy(trail)),
	}
	if id := a.ExternalID(trail); id != "" { // An empty string is not "none" to STS but an invalid value.
		input.ExternalId = aws.String(id)
	}
	return func(ctx context.Context, base aws.Config) (assumption, error) {
		if err := a.checkOperator(ctx, base, noneToAssume); err != nil {
			return assumption{}, err
		}
		out, err := sts.NewFromConfig(base).AssumeRole(ctx, input)
		if err != nil {
			err = assumeRoleFault(err)
			if fault.ReasonOf(err) == v1alpha1.ReasonNoIdentity {
				a.forgetOperator(base.Region)
			}
			return assumption{}, err
		}
		return assumption{out.Credentials, out.AssumedRoleUser}, nil
	}
}

func duration(spec *v1alpha1.STS) int32 {
	if spec.DurationSeconds == nil {
		return defaultDuration
	}
	return *spec.DurationSeconds
}
