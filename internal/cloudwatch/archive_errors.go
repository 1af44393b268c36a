package cloudwatch

import (
	"errors"
	"fmt"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

// ErrNotReadable is that the reader's own credentials do not let them read a log stream.
var ErrNotReadable = errors.New("the AWS credentials in use may not read it")

// ErrNoStream is that a log group or stream is not there for the reader's AWS account and region.
var ErrNoStream = errors.New("there is no such log stream")

// explain says what a reader can do about an error of AWS: classify speaks to those who run the operator.
func (a *Archive) explain(group, stream string, err error) error {
	const operation = "logs:GetLogEvents"
	at := fmt.Sprintf("log stream %q of log group %s in region %s", stream, group, a.region)
	classified := classify(operation, err)
	switch fault.ReasonOf(classified) {
	case v1alpha1.ReasonDestinationNotFound:
		return fmt.Errorf("reading %s: %w: check that your AWS credentials are of the account that the trail delivers to "+
			"(AWS_PROFILE), and that nobody deleted it", at, ErrNoStream)
	case v1alpha1.ReasonActionNotAllowed:
		return fmt.Errorf("reading %s: %w: have %s allowed on the log group's ARN with \":*\" at its end, or use another AWS_PROFILE",
			at, ErrNotReadable, operation)
	case v1alpha1.ReasonInvalidAccessKey, v1alpha1.ReasonSignatureMismatch, v1alpha1.ReasonTokenExpired:
		return fmt.Errorf("reading %s: AWS does not accept your credentials (%s): log in again (aws sso login), or name another "+
			"profile with AWS_PROFILE", at, codeOf(err))
	case v1alpha1.ReasonThrottled:
		return fmt.Errorf("reading %s: AWS asks for fewer calls: try again later, or for a shorter time", at)
	case v1alpha1.ReasonRegionUnusable, v1alpha1.ReasonUnreachable:
		return fmt.Errorf("reading %s: AWS does not answer: check the network, and AWS_ENDPOINT_URL if it is set: %w", at, err)
	default:
		return fmt.Errorf("reading %s: %w", at, err)
	}
}
