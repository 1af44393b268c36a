package recorder

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

// maxBody bounds an AdmissionReview in bytes. The API server takes requests of 3 MiB, and sends the old object beside
// the new one.
const maxBody = 16 << 20

// scratch is memory for one request. What is decoded from it is copied.
type scratch struct {
	body    bytes.Buffer
	limited io.LimitedReader
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// maxScratch is the largest body whose memory is kept for another.
const maxScratch = 1 << 20

func (s *scratch) release() {
	if s.body.Cap() <= maxScratch {
		scratches.Put(s)
	}
}

// errTooLarge refuses what the API server never sends.
var errTooLarge = fmt.Errorf("it is too large: more than %d bytes", maxBody)

// read takes a body into the scratch, up to maxBody.
func (s *scratch) read(body io.Reader) error {
	s.body.Reset()
	s.limited = io.LimitedReader{R: body, N: maxBody + 1}
	_, err := s.body.ReadFrom(&s.limited)
	s.limited.R = nil
	if err == nil && s.limited.N <= 0 {
		err = errTooLarge
	}
	return err
}

// readReview reads the admission request. It fails when the body is not an AdmissionReview of admission.k8s.io/v1.
func readReview(r *http.Request) (*admissionv1.AdmissionRequest, error) {
	s, _ := scratches.Get().(*scratch)
	defer s.release()
	if err := s.read(r.Body); err != nil {
		return nil, fmt.Errorf("reading the AdmissionReview: %w", err)
	}
	var review admissionv1.AdmissionReview
	// The API server has decoded and encoded the objects itself: what it let through is not checked again.
	err := json.Unmarshal(s.body.Bytes(), &review, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	if err != nil {
		return nil, fmt.Errorf("decoding the AdmissionReview: %w", err)
	}
	switch {
	case review.APIVersion != admissionv1.SchemeGroupVersion.String() || review.Kind != "AdmissionReview":
		return nil, fmt.Errorf("got %s %s, want an AdmissionReview of %s",
			review.APIVersion, review.Kind, admissionv1.SchemeGroupVersion)
	case review.Request == nil || review.Request.UID == "":
		return nil, errors.New("the AdmissionReview has no request with a uid")
	}
	return review.Request, nil
}

// matchable is what the rules look at. The API server chooses webhooks by what the caller asked for, so the rules do
// too. The field manager is looked for only when a rule asks for it.
func matchable(r *admissionv1.AdmissionRequest, fieldManager bool) rules.Request {
	request := rules.Request{
		Operation:   string(r.Operation),
		Group:       r.Resource.Group,
		Version:     r.Resource.Version,
		Resource:    r.Resource.Resource,
		Subresource: r.SubResource,
		Kind:        r.Kind.Kind,
		Namespace:   audit.Namespace(r),
		Name:        r.Name,
		Username:    r.UserInfo.Username,
		Groups:      r.UserInfo.Groups,
		ActorType:   rules.ActorType(r.UserInfo.Username, r.UserInfo.Groups),
	}
	if r.RequestResource != nil {
		request.Group = r.RequestResource.Group
		request.Version = r.RequestResource.Version
		request.Resource = r.RequestResource.Resource
		request.Subresource = r.RequestSubResource
	}
	if fieldManager {
		request.FieldManager = audit.FieldManager(r)
	}
	if request.Name == "" {
		request.Name = nameInObject(r)
	}
	return request
}

// nameInObject is the name of an object whose request has none: deletecollection, and some generated names.
func nameInObject(r *admissionv1.AdmissionRequest) string {
	raw := r.Object.Raw
	if len(raw) == 0 {
		raw = r.OldObject.Raw
	}
	var named struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	if json.Unmarshal(raw, &named) != nil {
		return ""
	}
	return named.Metadata.Name
}

// answer is the AdmissionReview that answers a request.
type answer struct {
	uid string
	// refused is why the change is refused; empty to admit it.
	refused string
	// events are the recorded AuditEvents, as namespace/name.
	events []string
}

// eventAnnotation is the key, below the webhook's own name, under which the API server's audit log shows the events.
const eventAnnotation = "event"

func (a *answer) write(w http.ResponseWriter) error {
	w.Header()["Content-Type"] = contentType
	if a.refused == "" {
		return a.writeAdmitted(w)
	}
	response := &admissionv1.AdmissionResponse{Result: refusal(a.refused)}
	response.UID = uidOf(a.uid)
	if len(a.events) > 0 {
		response.AuditAnnotations = map[string]string{eventAnnotation: strings.Join(a.events, ",")}
	}
	review := admissionv1.AdmissionReview{Response: response}
	review.SetGroupVersionKind(admissionv1.SchemeGroupVersion.WithKind("AdmissionReview"))
	return json.MarshalWrite(w, &review)
}

var contentType = []string{"application/json"}

// writeAdmitted is the answer to most calls, which says no more than yes, and where the events are.
func (a *answer) writeAdmitted(w http.ResponseWriter) error {
	s, _ := scratches.Get().(*scratch)
	defer s.release()
	s.body.Reset()
	body := append(s.body.AvailableBuffer(), `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":`...)
	// Quoting fails on invalid UTF-8 only, and then still appends the value with replacement characters.
	body, _ = jsontext.AppendQuote(body, a.uid)
	body = append(body, `,"allowed":true`...)
	if len(a.events) > 0 {
		body = append(body, `,"auditAnnotations":{"`+eventAnnotation+`":`...)
		body, _ = jsontext.AppendQuote(body, strings.Join(a.events, ","))
		body = append(body, '}')
	}
	_, err := w.Write(append(body, "}}"...))
	return err
}
