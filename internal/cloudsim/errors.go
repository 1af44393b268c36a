package cloudsim

import (
	"fmt"
	"net/http"
	"time"
)

// service is one of the two AWS services of the endpoint, by its name in a credential scope.
type service string

const (
	serviceLogs service = "logs"
	serviceSTS  service = "sts"
)

// apiError is an answer other than success, as AWS gives it.
type apiError struct {
	status  int
	code    string
	message string
	// coral marks errors of the layer before CloudWatch Logs itself, which write their codes in the long form.
	coral bool
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

// errorAt is an error that both services know under different codes. CloudWatch Logs answers all client errors with
// 400, STS most with 403.
func errorAt(at service, logsCode, stsCode, message string) *apiError {
	if at == serviceSTS {
		return &apiError{status: http.StatusForbidden, code: stsCode, message: message}
	}
	return &apiError{status: http.StatusBadRequest, code: logsCode, message: message, coral: true}
}

func errUnknownKey(at service) *apiError {
	return errorAt(at, "UnrecognizedClientException", "InvalidClientTokenId",
		"The security token included in the request is invalid.")
}

func errExpired(at service) *apiError {
	return errorAt(at, "ExpiredTokenException", "ExpiredToken", "The security token included in the request is expired")
}

func errSignature(at service, message string) *apiError {
	return errorAt(at, "InvalidSignatureException", "SignatureDoesNotMatch", message)
}

func errIncompleteSignature(at service, message string) *apiError {
	return errorAt(at, "IncompleteSignatureException", "IncompleteSignature", message)
}

func errNoSignature(at service) *apiError {
	return errorAt(at, "MissingAuthenticationTokenException", "MissingAuthenticationToken",
		"Request is missing Authentication Token")
}

func errRegion(at service, region string) *apiError {
	if at == serviceLogs {
		return errUnknownKey(at)
	}
	return &apiError{
		status: http.StatusForbidden, code: "RegionDisabledException",
		message: fmt.Sprintf("STS is not activated in this region for account: %s. Your account administrator can "+
			"activate STS in this region using the IAM Console.", region),
	}
}

func errAccessDenied(at service, message string) *apiError {
	return errorAt(at, "AccessDeniedException", "AccessDenied", message)
}

func errThrottled(at service) *apiError {
	throttled := errorAt(at, "ThrottlingException", "Throttling", "Rate exceeded")
	throttled.status = http.StatusBadRequest
	throttled.coral = false
	return throttled
}

func errUnavailable(at service) *apiError {
	unavailable := errorAt(at, "ServiceUnavailableException", "ServiceUnavailable", "The service cannot complete the request.")
	unavailable.status = http.StatusServiceUnavailable
	unavailable.coral = false
	return unavailable
}

func errUnknownAction(at service, name string) *apiError {
	if at == serviceSTS {
		return badRequest("InvalidAction", "Could not find operation %s for version 2011-06-15", name)
	}
	return badRequest("UnknownOperationException", "The operation %q is unknown, or not simulated", name)
}

func errMalformedQuery() *apiError {
	return badRequest("MalformedQueryString", "The form in the body is malformed")
}

func errTooLarge() *apiError {
	return &apiError{status: http.StatusRequestEntityTooLarge, code: "RequestEntityTooLargeException", message: "Request is too large"}
}

func badRequest(code, format string, arguments ...any) *apiError {
	return &apiError{status: http.StatusBadRequest, code: code, message: fmt.Sprintf(format, arguments...)}
}

func errSerialization(message string) *apiError {
	return badRequest("SerializationException", "%s", message)
}

func errParameter(format string, arguments ...any) *apiError {
	return badRequest("InvalidParameterException", format, arguments...)
}

// errConstraint is the answer to a parameter that breaks the service's model.
func errConstraint(value any, field, constraint string) *apiError {
	return errParameter("1 validation error detected: Value '%v' at '%s' failed to satisfy constraint: Member must %s",
		value, field, constraint)
}

func errNotFound(what string) *apiError {
	return badRequest("ResourceNotFoundException", "The specified log %s does not exist.", what)
}

func errExists(what string) *apiError {
	return badRequest("ResourceAlreadyExistsException", "The specified log %s already exists", what)
}

// basicTime is the time format of SigV4.
const basicTime = "20060102T150405Z"

func formatBasic(t time.Time) string { return t.UTC().Format(basicTime) }
