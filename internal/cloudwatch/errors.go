package cloudwatch

import (
	"fmt"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/awsauth"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

// Class says what delivery does about an error.
type Class int

const (
	// ClassTransient means: keep the batch, try again later, without limit.
	ClassTransient Class = iota
	// ClassThrottled is as ClassTransient; the stream and its credentials are fine.
	ClassThrottled
	// ClassAuth means: keep everything, back off this trail alone, and open the stream anew. Somebody has to do something.
	ClassAuth
	// ClassNotFound means that the group or the stream is gone: Ensure, then put the same batch again.
	ClassNotFound
	// ClassInvalid means that the batch has a record that AWS refuses: halve it until that one is found.
	ClassInvalid
	// ClassQuota is as ClassAuth, until the quota is raised.
	ClassQuota
)

// String is the class in lower case, as metrics and logs show it.
func (c Class) String() string {
	return [...]string{"transient", "throttled", "auth", "notfound", "invalid", "quota"}[c]
}

// classes are the reasons that do not mean ClassAuth.
var classes = map[string]Class{
	"":                                 ClassTransient,
	v1alpha1.ReasonAWSError:            ClassTransient,
	v1alpha1.ReasonUnreachable:         ClassTransient,
	v1alpha1.ReasonLogGroupBusy:        ClassTransient,
	v1alpha1.ReasonThrottled:           ClassThrottled,
	v1alpha1.ReasonDestinationNotFound: ClassNotFound,
	v1alpha1.ReasonRecordRejected:      ClassInvalid,
	v1alpha1.ReasonQuotaExceeded:       ClassQuota,
}

// ClassOf is the class of an error of this package: every reason that somebody has to do something about, such as bad
// credentials, a missing permission or a missing log group that must not be created, is ClassAuth. An error that is no
// fault, and no error, are ClassTransient.
func ClassOf(err error) Class {
	if class, ok := classes[fault.ReasonOf(err)]; ok {
		return class
	}
	return ClassAuth
}

// classify turns an error of CloudWatch Logs into a fault with a fixed text; nil stays nil.
func classify(operation string, err error) error {
	if err == nil {
		return nil
	}
	switch code := codeOf(err); code {
	case "ResourceNotFoundException":
		return wait(v1alpha1.ReasonDestinationNotFound, "The log group or the log stream does not exist", code, operation, err)
	case "OperationAbortedException":
		return wait(v1alpha1.ReasonLogGroupBusy, "Somebody else changes the log group at the same time", code, operation, err)
	default:
		return awsauth.Fault(operation, err)
	}
}

// classifyPut is classify for PutLogEvents, where a refused request means a refused record: what else a request holds
// was accepted before.
func classifyPut(err error) error {
	const operation = "logs:PutLogEvents"
	switch code := codeOf(err); code {
	case "InvalidParameterException", "SerializationException", "ValidationException",
		"RequestEntityTooLarge", "RequestEntityTooLargeException":
		return wait(v1alpha1.ReasonRecordRejected, "CloudWatch Logs refuses a record of the batch", code, operation, err)
	default:
		return classify(operation, err)
	}
}

// codeOf is the error's code, "" when the error is classified already: then it comes from the retrieval of
// credentials inside the call, and its code is STS's.
func codeOf(err error) string {
	if _, ok := fault.As(err); ok {
		return ""
	}
	return awsauth.Code(err)
}

// groupNotFound is the fault of a group that is missing and must not be created.
func (s *Stream) groupNotFound(cause error) error {
	return fault.Wait(v1alpha1.ReasonLogGroupNotFound, 0, fault.Text(fmt.Sprintf(
		"Log group %s does not exist in region %s, and logGroupCreationPolicy is Never: create it, or set the policy to IfMissing",
		s.group, s.region), cause))
}

func wait(reason, text, code, operation string, cause error) error {
	return fault.Wait(reason, 0, fault.Text(text+" ("+code+" at "+operation+")", cause))
}
