package awstest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Account is the account of the identities that STS answers with by default.
const Account = "123456789012"

// Call is one request to the endpoint.
type Call struct {
	// Operation is the API's name for it, such as PutLogEvents.
	Operation string
	// KeyID is the access key id that signed it, "" for an unsigned call.
	KeyID string
	// Body as sent, and Form as the query protocol (STS) has it.
	Body string
	Form url.Values
}

// Answer is what to answer: an error when Code is set, else Body (JSON for CloudWatch Logs, the XML inside the
// operation's result element for STS).
type Answer struct {
	Status int
	Code   string
	Body   string
}

// Server is the endpoint. The zero value of its script answers every operation with success and nothing in it.
type Server struct {
	mu     sync.Mutex
	script map[string]func(Call) Answer
	calls  []Call
}

// Start starts the endpoint and points the SDK's standard settings at it for the time of the test. The operator's own
// identity is a key id "AKIAOPERATOR".
func Start(t *testing.T) *Server {
	t.Helper()
	s := &Server{script: map[string]func(Call) Answer{}}
	s.On("GetCallerIdentity", func(Call) Answer { return Identity("user/audit") })
	s.On("AssumeRole", func(Call) Answer { return Assumed(Account) })
	s.On("AssumeRoleWithWebIdentity", func(Call) Answer { return Assumed(Account) })
	endpoint := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(endpoint.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": endpoint.URL, "AWS_ACCESS_KEY_ID": "AKIAOPERATOR", "AWS_SECRET_ACCESS_KEY": "operator",
		"AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(name, value)
	}
	return s
}

// On answers an operation with what answer says.
func (s *Server) On(operation string, answer func(Call) Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script[operation] = answer
}

// Fail answers an operation with an error. The status is 400, as CloudWatch Logs does.
func (s *Server) Fail(operation, code string) {
	s.On(operation, func(Call) Answer { return Answer{Status: http.StatusBadRequest, Code: code} })
}

// Calls are the calls of an operation so far.
func (s *Server) Calls(operation string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Call
	for _, call := range s.calls {
		if call.Operation == operation {
			found = append(found, call)
		}
	}
	return found
}

// Identity answers GetCallerIdentity.
func Identity(resource string) Answer {
	return Answer{Body: fmt.Sprintf("<Arn>arn:aws:iam::%s:%s</Arn><Account>%s</Account><UserId>AIDA</UserId>", Account, resource, Account)}
}

// Assumed answers AssumeRole and AssumeRoleWithWebIdentity with credentials of a role in an account.
func Assumed(account string) Answer {
	return Answer{Body: fmt.Sprintf("<AssumedRoleUser><Arn>arn:aws:sts::%s:assumed-role/audit/trail</Arn><AssumedRoleId>AROA:x</AssumedRoleId></AssumedRoleUser>"+
		"<Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>rolesecret</SecretAccessKey><SessionToken>roletoken</SessionToken>"+
		"<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>", account)}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	call := Call{Body: string(body), KeyID: keyID(r.Header.Get("Authorization"))}
	_, operation, logs := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if call.Operation = operation; !logs {
		call.Form, _ = url.ParseQuery(call.Body)
		call.Operation = call.Form.Get("Action")
	}
	s.mu.Lock()
	s.calls = append(s.calls, call)
	answer := s.script[call.Operation]
	s.mu.Unlock()
	if answer == nil {
		answer = func(Call) Answer { return Answer{} }
	}
	if logs {
		writeJSON(w, answer(call))
	} else {
		writeXML(w, call.Operation, answer(call))
	}
}

func writeJSON(w http.ResponseWriter, a Answer) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if a.Code != "" {
		w.WriteHeader(max(a.Status, http.StatusBadRequest))
		_, _ = fmt.Fprintf(w, `{"__type":%q,"message":"request id 0f1e2d"}`, a.Code)
		return
	}
	if a.Body == "" {
		a.Body = "{}"
	}
	_, _ = fmt.Fprint(w, a.Body)
}

func writeXML(w http.ResponseWriter, operation string, a Answer) {
	w.Header().Set("Content-Type", "text/xml")
	if a.Code != "" {
		w.WriteHeader(max(a.Status, http.StatusBadRequest))
		_, _ = fmt.Fprintf(w, "<ErrorResponse><Error><Code>%s</Code><Message>request id 0f1e2d</Message></Error></ErrorResponse>", a.Code)
		return
	}
	_, _ = fmt.Fprintf(w, "<%[1]sResponse><%[1]sResult>%[2]s</%[1]sResult></%[1]sResponse>", operation, a.Body)
}

func keyID(authorization string) string {
	_, credential, _ := strings.Cut(authorization, "Credential=")
	id, _, _ := strings.Cut(credential, "/")
	return id
}
