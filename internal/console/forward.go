package console

import (
	"bytes"
	"context"
	"crypto/subtle"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// forwardTimeout bounds one call of the API server.
	forwardTimeout = 30 * time.Second
	// maxBody is the largest object that is passed on; etcd takes no larger one.
	maxBody = 1536 << 10
	// fieldManager is under which name the page's changes appear in an object's managedFields.
	fieldManager = "trailkeeper-console"
)

// route is a call of the page, and what it is at the API server.
type route struct {
	pattern string
	// path at the API server; {namespace} and {name} are taken from the call.
	path string
	// method and body are those at the API server, where they differ from the call's.
	method, body string
}

var group = "/apis/" + v1alpha1.GroupVersion.String()

// routes are all that the page may have forwarded: trails, single events, and who the viewer is. Everything else of the API
// server stays out of reach of a script that got hold of the page.
var routes = []route{
	{pattern: "GET /v1alpha1/audittrails", path: group + "/audittrails"},
	{pattern: "GET /v1alpha1/namespaces/{namespace}/audittrails", path: group + "/namespaces/{namespace}/audittrails"},
	{pattern: "POST /v1alpha1/namespaces/{namespace}/audittrails", path: group + "/namespaces/{namespace}/audittrails"},
	{pattern: "GET /v1alpha1/namespaces/{namespace}/audittrails/{name}", path: group + "/namespaces/{namespace}/audittrails/{name}"},
	{pattern: "PATCH /v1alpha1/namespaces/{namespace}/audittrails/{name}", path: group + "/namespaces/{namespace}/audittrails/{name}"},
	{pattern: "DELETE /v1alpha1/namespaces/{namespace}/audittrails/{name}", path: group + "/namespaces/{namespace}/audittrails/{name}"},
	{pattern: "GET /v1alpha1/namespaces/{namespace}/auditevents/{name}", path: group + "/namespaces/{namespace}/auditevents/{name}"},
	{pattern: "PATCH /v1alpha1/namespaces/{namespace}/auditevents/{name}", path: group + "/namespaces/{namespace}/auditevents/{name}"},
	{
		pattern: "GET /v1alpha1/viewer", path: "/apis/authentication.k8s.io/v1/selfsubjectreviews", method: http.MethodPost,
		body: `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`,
	},
}

// nameRule is what namespaces and the names of both kinds look like, so that nothing else can get into a path.
var nameRule = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)

// forwarder passes calls on to the API server with the caller's token, whose rights decide.
type forwarder struct {
	client *http.Client
	base   *url.URL
	// key is the only token that is accepted, by which client has credentials of its own; "" passes tokens on.
	key string
}

func (f *forwarder) handler(to route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protect(w.Header())
		w.Header().Set("Cache-Control", "no-store")
		token, ok := bearer(r.Header)
		if !ok {
			refuse(w, http.StatusUnauthorized, "Unauthorized", "no token: send it as Authorization: Bearer TOKEN")
			return
		}
		if f.key != "" && subtle.ConstantTimeCompare([]byte(token), []byte(f.key)) != 1 {
			refuse(w, http.StatusUnauthorized, "Unauthorized", "this is not the token that was given out when this server was started")
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), forwardTimeout)
		defer cancel()
		asked, reason := f.request(ctx, to, r)
		if asked == nil {
			refuse(w, http.StatusBadRequest, "BadRequest", reason)
			return
		}
		if f.key == "" {
			asked.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := f.client.Do(asked) //nolint:gosec // Host and path are fixed but for names that match nameRule.
		if err != nil {
			refuse(w, http.StatusBadGateway, "ServiceUnavailable", "the API server does not answer: try again in a moment")
			return
		}
		defer func() { _ = answer.Body.Close() }()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body) // Whoever has gone reads no error.
	})
}

// request is the call at the API server; nil with a reason when the page's call cannot be one. Of its header only the type of the
// body is passed on, so nobody is impersonated.
func (f *forwarder) request(ctx context.Context, to route, r *http.Request) (*http.Request, string) {
	path := to.path
	for _, part := range []string{"namespace", "name"} {
		value := r.PathValue(part)
		if strings.Contains(path, "{"+part+"}") && !nameRule.MatchString(value) {
			return nil, fmt.Sprintf("%q cannot be a %s", value, part)
		}
		path = strings.ReplaceAll(path, "{"+part+"}", value)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		return nil, "the object is too large"
	}
	method := r.Method
	if to.method != "" {
		method, body = to.method, []byte(to.body)
	}
	target := f.base.JoinPath(path)
	target.RawQuery = parameters(method, r.URL.Query()).Encode()
	//nolint:gosec // Host and path are fixed but for names that match nameRule.
	asked, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, "the call cannot be made"
	}
	asked.Header.Set("Accept", "application/json")
	asked.Header.Set("User-Agent", fieldManager)
	asked.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		asked.Header.Set("Content-Type", "application/merge-patch+json")
	}
	return asked, ""
}

// parameters are those that make sense for the method. A misspelled field is refused rather than dropped.
func parameters(method string, given url.Values) url.Values {
	passed := []string{"limit", "continue"}
	wanted := url.Values{}
	if method != http.MethodGet {
		passed = []string{"dryRun"}
	}
	if method == http.MethodPost || method == http.MethodPatch {
		wanted.Set("fieldManager", fieldManager)
		wanted.Set("fieldValidation", "Strict")
	}
	for _, name := range passed {
		if value := given.Get(name); value != "" {
			wanted.Set(name, value)
		}
	}
	return wanted
}

// bearer is the caller's token. Without one the API server would answer as to anybody.
func bearer(header http.Header) (string, bool) {
	scheme, token, _ := strings.Cut(header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}
