package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/internal/query"
)

// codeForbidden is the code of a problem of rights.
const codeForbidden = "Forbidden"

// problem is an error that the caller is told of.
type problem struct {
	status int
	// Code is one word, and Message says what is wrong and what to do.
	Code    string `json:"code"`
	Message string `json:"message"`
	// retryAfter is in seconds; 0 for none.
	retryAfter int
}

func (p *problem) Error() string { return p.Message }

func unauthorized(message string) *problem {
	return &problem{status: http.StatusUnauthorized, Code: "Unauthorized", Message: message}
}

func invalid(format string, args ...any) *problem {
	return &problem{status: http.StatusBadRequest, Code: "InvalidRequest", Message: fmt.Sprintf(format, args...)}
}

func notFound(message string) *problem {
	return &problem{status: http.StatusNotFound, Code: "NotFound", Message: message}
}

func forbidden(verb, namespace string) *problem {
	return &problem{status: http.StatusForbidden, Code: codeForbidden, Message: fmt.Sprintf(
		"This token may not %s auditevents.audit.trailkeeper.dev in namespace %s: ask for a RoleBinding there to the ClusterRole %s, or "+
			"name a project (projectUid) whose events you may read", verb, namespace, roleFor(verb))}
}

func roleFor(verb string) string {
	if verb == "patch" {
		return "trailkeeper-editor"
	}
	return "trailkeeper-viewer"
}

func busy(message string) *problem {
	return &problem{status: http.StatusTooManyRequests, Code: "TooManyRequests", Message: message, retryAfter: 1}
}

// problemOf is what a caller is told of an error. What only the operator's people can repair stays in the log.
func problemOf(ctx context.Context, err error, verb, namespace string) *problem {
	var told *problem
	var status apierrors.APIStatus
	switch {
	case errors.As(err, &told):
		return told
	case apierrors.IsUnauthorized(err):
		return unauthorized("The API server does not accept this token: it is wrong, or it has expired. Get a new one")
	case apierrors.IsForbidden(err):
		return forbidden(verb, namespace)
	case apierrors.IsNotFound(err):
		return notFound("There is no such event, or it is older than what is kept")
	case apierrors.IsTooManyRequests(err), apierrors.IsServiceUnavailable(err), apierrors.IsTimeout(err), apierrors.IsServerTimeout(err):
		return &problem{status: http.StatusServiceUnavailable, Code: "Unavailable", Message: "The API server is busy: try again", retryAfter: 5}
	case errors.Is(err, query.ErrMoved):
		return &problem{status: http.StatusServiceUnavailable, Code: "Unavailable", Message: "Events were being delivered meanwhile: try again", retryAfter: 1}
	case errors.Is(err, context.DeadlineExceeded):
		return &problem{status: http.StatusGatewayTimeout, Code: "Timeout", Message: "The answer took too long: ask for a shorter time"}
	case apierrors.IsInvalid(err) || apierrors.IsBadRequest(err):
		if errors.As(err, &status) {
			return invalid("%s", status.Status().Message)
		}
	}
	log.FromContext(ctx).Error(err, "Cannot answer a question about events")
	return &problem{
		status: http.StatusBadGateway, Code: "Failed", Message: "The events could not be read now; the operator's log says why", retryAfter: 5,
	}
}

func (p *problem) write(w http.ResponseWriter) {
	if p.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="trailkeeper"`)
	}
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	writeJSON(w, p.status, p)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	encoded, err := json.Marshal(body)
	if err != nil { // Events come from JSON.
		http.Error(w, "the answer cannot be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(encoded, '\n')) // Who has gone does not read an error.
}
