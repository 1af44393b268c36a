package cloudwatch

import (
	"fmt"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

// explain says what a reader can do about an error of AWS: classify speaks to those who run the operator.
func (a *Archive) explain(group, stream string, err error) error {
	if a.turn != nil {
		return fmt.Errorf("reading log stream %q of log group %s in region %s: %w", stream, group, a.region, classify("logs:FilterLogEvents", err))
	}
	const operation = "logs:GetLogEvents"
	at := fmt.Sprintf("log stream %q of log group %s in region %s", stream, group, a.region)
	classified := classify(operation, err)
	switch fault.ReasonOf(classified) {
	case v1alpha1.ReasonDestinationNotFound:
		return fmt.Errorf("reading %s: there is none: check that your AWS credentials are of the account that the trail delivers to "+
			"(AWS_PROFILE), and that nobody deleted it", at)
	case v1alpha1.ReasonActionNotAllowed:
		return fmt.Errorf("reading %s: your AWS credentials do not let you: have %s allowed on the log group's ARN with \":*\" at its end, "+
			"or use another AWS_PROFILE", at, operation)
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
