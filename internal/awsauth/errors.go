package awsauth

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"regexp"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

// meaning is what an error code stands for.
type meaning struct{ reason, text string }

// common are the codes that any AWS service answers with, STS's spelling and CloudWatch Logs' (AWS API references,
// "Common Errors").
var common = map[string]meaning{
	"InvalidClientTokenId":          unknownKey,
	"InvalidAccessKeyId":            unknownKey,
	"UnrecognizedClientException":   unknownKey,
	"SignatureDoesNotMatch":         badSignature,
	"InvalidSignatureException":     badSignature,
	"IncompleteSignature":           badSignature,
	"RequestTimeTooSkewed":          badSignature,
	"RequestExpired":                badSignature,
	"ExpiredToken":                  expired,
	"ExpiredTokenException":         expired,
	"Throttling":                    throttled,
	"ThrottlingException":           throttled,
	"ThrottledException":            throttled,
	"RequestLimitExceeded":          throttled,
	"TooManyRequestsException":      throttled,
	"RegionDisabledException":       regionOff,
	"OptInRequired":                 regionOff,
	"AccessDenied":                  notAllowed,
	"AccessDeniedException":         notAllowed,
	"UnauthorizedOperation":         notAllowed,
	"ServiceUnavailable":            unreachable,
	"ServiceUnavailableException":   unreachable,
	"InternalFailure":               unreachable,
	"InternalServerError":           unreachable,
	"RequestTimeout":                unreachable,
	"RequestTimeoutException":       unreachable,
	"LimitExceededException":        quota,
	"ServiceQuotaExceededException": quota,
}

var (
	unknownKey = meaning{v1alpha1.ReasonInvalidAccessKey,
		"AWS does not know the access key: check the access key id, and that spec.cloudWatch.region is enabled for its account"}
	badSignature = meaning{v1alpha1.ReasonSignatureMismatch,
		"AWS refuses the signature: check the secret access key, and the clock of the operator's node"}
	expired = meaning{v1alpha1.ReasonTokenExpired,
		"The session token has expired: put new credentials in place"}
	throttled = meaning{v1alpha1.ReasonThrottled,
		"AWS asks for fewer calls; the operator slows down and goes on"}
	regionOff = meaning{v1alpha1.ReasonRegionUnusable,
		"The region is not usable for the account: enable spec.cloudWatch.region in the account, or make a trail in another region"}
	notAllowed = meaning{v1alpha1.ReasonActionNotAllowed,
		"IAM does not let the identity do this: allow the action that stands in brackets, on the log group's ARN with \":*\" at its end and without"}
	unreachable = meaning{v1alpha1.ReasonUnreachable,
		"AWS does not answer; the operator tries again"}
	noSuchHost = meaning{v1alpha1.ReasonRegionUnusable,
		"The name of the region's AWS endpoint does not resolve: check spec.cloudWatch.region, and the operator's DNS"}
	quota = meaning{v1alpha1.ReasonQuotaExceeded,
		"A quota of the AWS account is used up: have it raised in Service Quotas"}
	unexpected = meaning{v1alpha1.ReasonAWSError,
		"AWS answered with an error; the operator tries again"}
)

// Fault classifies an error of an AWS call. operation is the IAM action, such as logs:PutLogEvents; with the error's
// code it is all that the text tells of the call. An error that is classified already stays as it is: credentials are
// retrieved inside other calls, and what went wrong there counts. A canceled context is no fault of AWS.
func Fault(operation string, err error) error {
	if found, ok := fault.As(err); ok {
		return found
	}
	if errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("calling %s: %w", operation, err)
	}
	code := Code(err)
	if m, ok := common[code]; ok {
		return m.fault(code, operation, err)
	}
	return transport(err).fault(code, operation, err)
}

// fault has the reason and the text of m; the code and the operation are in brackets behind it.
func (m meaning) fault(code, operation string, err error) error {
	text := m.text + " (" + operation + ")"
	if code != "" {
		text = m.text + " (" + code + " at " + operation + ")"
	}
	return fault.Wait(m.reason, 0, fault.Text(text, err))
}

// Rejected says that AWS refuses the credentials themselves, so that they are better got anew than used again.
func Rejected(err error) bool {
	switch fault.ReasonOf(err) {
	case v1alpha1.ReasonInvalidAccessKey, v1alpha1.ReasonSignatureMismatch, v1alpha1.ReasonTokenExpired:
		return true
	default:
		return false
	}
}

// Code is the innermost AWS error code in err's chain, "" when there is none. The outermost error names the service
// that was called, also when it was STS that failed while credentials were retrieved for the call.
func Code(err error) string {
	code := ""
	for err != nil {
		switch known := err.(type) { //nolint:errorlint // The loop looks at each error of the chain by itself.
		case smithy.APIError:
			code = known.ErrorCode()
		case *smithy.DeserializationError:
			code = codeInXML(known.Snapshot)
		}
		err = errors.Unwrap(err)
	}
	return code
}

// codeInXML is the error code of an answer in XML, which the JSON protocol of CloudWatch Logs cannot read: what stands in
// front of a service may refuse a call in AWS's other protocol. "" when there is none.
func codeInXML(answer []byte) string {
	decoder := xml.NewDecoder(bytes.NewReader(answer))
	for {
		token, err := decoder.Token()
		if err != nil {
			return ""
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "Code" {
			var code string
			if decoder.DecodeElement(&code, &start) != nil || !errorCode.MatchString(code) {
				return ""
			}
			return code
		}
	}
}

// errorCode is what AWS's error codes look like. Codes go into status, and what is not from AWS must not.
var errorCode = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9.]{0,99}$`)

// transport tells errors without a known code apart by how the call ended.
func transport(err error) meaning {
	var (
		dns      *net.DNSError
		netErr   net.Error
		response *awshttp.ResponseError
	)
	switch {
	case errors.As(err, &response) && response.HTTPStatusCode() == 429:
		return throttled
	case errors.As(err, &response) && response.HTTPStatusCode() >= 500:
		return unreachable
	case errors.As(err, &dns) && dns.IsNotFound:
		return noSuchHost
	case errors.As(err, &netErr), errors.Is(err, context.DeadlineExceeded):
		return unreachable
	default:
		return unexpected
	}
}

func textf(format string, args ...any) error { return fmt.Errorf(format, args...) }
