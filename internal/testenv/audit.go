package testenv

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// auditPolicy logs every request once, when it has been answered; changes with their bodies.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: None
  nonResourceURLs: ["*"]
- level: Metadata # The operator's own writes are as many as the changes.
  users: ["system:serviceaccount:trailkeeper-system:trailkeeper-manager"]
- level: RequestResponse
  verbs: [create, update, patch, delete, deletecollection]
- level: Metadata
`

// AuditEntry is what kube-apiserver logged about one request: the parts of audit.k8s.io/v1 Event that tests need.
type AuditEntry struct {
	AuditID string `json:"auditID"`
	Stage   string `json:"stage"`
	// Verb is create, update, patch, delete, deletecollection, get, list or watch.
	Verb                     string          `json:"verb"`
	RequestURI               string          `json:"requestURI"`
	User                     AuditUser       `json:"user"`
	ImpersonatedUser         *AuditUser      `json:"impersonatedUser"`
	UserAgent                string          `json:"userAgent"`
	ObjectRef                AuditObject     `json:"objectRef"`
	ResponseStatus           AuditStatus     `json:"responseStatus"`
	RequestObject            json.RawMessage `json:"requestObject"`
	ResponseObject           json.RawMessage `json:"responseObject"`
	RequestReceivedTimestamp time.Time       `json:"requestReceivedTimestamp"`
	// StageTimestamp is when it was answered.
	StageTimestamp time.Time `json:"stageTimestamp"`
	// Annotations hold, among others, what admission webhooks answered as auditAnnotations.
	Annotations map[string]string `json:"annotations"`
}

// AuditUser is who made a request.
type AuditUser struct {
	Username string   `json:"username"`
	Groups   []string `json:"groups"`
}

// AuditObject is what a request was about. Name is empty for a create with a name that the client did not choose.
type AuditObject struct {
	APIGroup    string `json:"apiGroup"`
	APIVersion  string `json:"apiVersion"`
	Resource    string `json:"resource"`
	Subresource string `json:"subresource"`
	Namespace   string `json:"namespace"`
	Name        string `json:"name"`
	UID         string `json:"uid"`
}

// AuditStatus is how a request was answered.
type AuditStatus struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Reason  string `json:"reason"`
}

// auditArgs have the API server write a line before it answers, so that an answered request is always in the log.
func (e *Env) auditArgs() []string {
	return []string{
		"--audit-policy-file=" + e.file("audit-policy.yaml"),
		"--audit-log-path=" + e.file("audit.log"),
		"--audit-log-mode=blocking",
		"--audit-log-maxsize=10000", // MB; never start another file
	}
}

// AuditLog reads all that kube-apiserver has logged so far, in the order in which it answered. Options.AuditLog must be
// set.
func (e *Env) AuditLog() ([]AuditEntry, error) {
	content, err := os.ReadFile(e.file("audit.log"))
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	return parseAuditLog(content)
}

// parseAuditLog leaves out a last line without an end: the API server is still writing it.
func parseAuditLog(content []byte) ([]AuditEntry, error) {
	entries := make([]AuditEntry, 0, bytes.Count(content, []byte("\n")))
	for number := 1; ; number++ {
		line, rest, ended := bytes.Cut(content, []byte("\n"))
		if !ended {
			return entries, nil
		}
		var entry AuditEntry
		if err := json.Unmarshal(line, &entry); err != nil {
			return nil, fmt.Errorf("reading line %d of the audit log: %w", number, err)
		}
		entries = append(entries, entry)
		content = rest
	}
}
