package cloudwatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/awsauth"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

// errNoDestination is a mistake of the caller: a ClusterOnly trail has no stream to open.
var errNoDestination = errors.New("trail has no destination in CloudWatch Logs")

// Opener opens the streams of trails. It is safe for concurrent use.
type Opener struct {
	// Compress has batches sent as gzip. It is set before the first Open.
	Compress bool

	auth      *awsauth.Authenticator
	clusterID string
	paces     *paces
}

// NewOpener makes an Opener. clusterID is the first part of log stream names that trails do not choose.
func NewOpener(auth *awsauth.Authenticator, clusterID string) *Opener {
	return &Opener{auth: auth, clusterID: clusterID, paces: newPaces()}
}

// Open opens the trail's stream with the trail's identity. It refuses credentials of another account than the trail
// has delivered to so far (ReasonAccountChanged), and asks CloudWatch Logs whose the stream is when STS does not answer.
// Otherwise it does not look at the stream; see Ensure. Open is cheap: it reads
// the trail's Secret, and calls STS only when the credentials are new.
func (o *Opener) Open(ctx context.Context, trail *v1alpha1.AuditTrail) (*Stream, error) {
	destination := trail.Spec.CloudWatch
	if destination == nil {
		return nil, errNoDestination
	}
	session, err := o.auth.Session(ctx, trail)
	if err != nil {
		return nil, fmt.Errorf("finding the credentials of trail %s/%s: %w", trail.Namespace, trail.Name, err)
	}
	stream := &Stream{
		client:   cloudwatchlogs.NewFromConfig(session.Config),
		group:    destination.LogGroupName,
		name:     o.StreamName(trail),
		region:   destination.Region,
		create:   destination.LogGroupCreationPolicy != v1alpha1.LogGroupCreationNever,
		class:    destination.LogGroupClass,
		compress: o.Compress,
	}
	stream.pace = o.paces.of("", destination.Region)
	identity, err := session.Identity(ctx)
	if Inconclusive(err) && trail.Status.CallerIdentity != nil {
		if identity.AccountID, err = stream.account(ctx, err); err == nil {
			session.Learn(identity)
		}
	}
	switch {
	case err == nil:
		if err := awsauth.CheckAccount(trail, identity); err != nil {
			return nil, err
		}
	case !Inconclusive(err) || trail.Status.CallerIdentity != nil:
		return nil, fmt.Errorf("verifying the identity of trail %s/%s: %w", trail.Namespace, trail.Name, err)
	}
	stream.pace = o.paces.of(identity.AccountID, destination.Region)
	return stream, nil
}

// OpenLedger is Open for the log stream of the trail's ledger, whose group the trail itself makes.
func (o *Opener) OpenLedger(ctx context.Context, trail *v1alpha1.AuditTrail) (*Stream, error) {
	stream, err := o.Open(ctx, trail)
	if err != nil {
		return nil, err
	}
	stream.name, stream.alone = o.LedgerStreamName(trail), true
	return stream, nil
}

// account is the AWS account that the stream belongs to, for when STS does not say whose the credentials are. A stream that
// cannot be found, or not be looked for, says nothing: then the answer is STS's error. Making the stream would put the
// trail into an account of which nobody knows whether it is still the same.
func (s *Stream) account(ctx context.Context, unanswered error) (string, error) {
	found, err := s.find(ctx)
	if err != nil && ClassOf(err) != ClassNotFound {
		return "", err
	}
	if found == nil {
		return "", unanswered
	}
	parsed, err := arn.Parse(aws.ToString(found.Arn))
	if err != nil {
		return "", unanswered
	}
	return parsed.AccountID, nil
}

// StreamName is the trail's log stream: the one in the spec, else the one used so far, else
// <cluster id>/<namespace>/<name>.
func (o *Opener) StreamName(trail *v1alpha1.AuditTrail) string {
	byDefault := o.clusterID + "/" + trail.Namespace + "/" + trail.Name
	// A cluster id may be an ARN; a stream's name may not have these two.
	byDefault = strings.NewReplacer(":", "-", "*", "-").Replace(byDefault)
	return cmp.Or(trail.Spec.CloudWatch.LogStreamName, trail.Status.LogStreamName, byDefault)
}

// ledgerSuffix is what the name of a ledger's stream has at its end. No trail can have such a stream for its records.
const ledgerSuffix = ".ledger"

// LedgerStreamName is the log stream of the trail's ledger.
func (o *Opener) LedgerStreamName(trail *v1alpha1.AuditTrail) string {
	return o.StreamName(trail) + ledgerSuffix
}

// Inconclusive tells whether STS's error says nothing about the credentials, so that CloudWatch Logs shall decide.
func Inconclusive(err error) bool {
	switch fault.ReasonOf(err) {
	case v1alpha1.ReasonUnreachable, v1alpha1.ReasonThrottled, v1alpha1.ReasonActionNotAllowed, v1alpha1.ReasonAWSError:
		return true
	default:
		return false
	}
}
