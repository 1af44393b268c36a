package recorder

import (
	"maps"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

// AttemptHandler answers the calls of the webhook entry for attempts on the record, before the admission policies refuse them.
// It admits everything.
func (r *Recorder) AttemptHandler() http.Handler {
	return r.handler(entry{policy: v1alpha1.FailurePolicyIgnore, attempts: true})
}

// isAttempt says that a request will be refused by the policies. A note is not: another entry records it when it is made.
func isAttempt(request *admissionv1.AdmissionRequest, asked *rules.Request) bool {
	if !rules.IsNote(asked) {
		return true
	}
	before, after := metadataOf(request.OldObject.Raw), metadataOf(request.Object.Raw)
	delete(before.Annotations, v1alpha1.NoteAnnotation)
	delete(after.Annotations, v1alpha1.NoteAnnotation)
	return !maps.Equal(before.Annotations, after.Annotations) || !maps.Equal(before.Labels, after.Labels) ||
		!slices.Equal(before.Finalizers, after.Finalizers) ||
		!slices.EqualFunc(before.OwnerReferences, after.OwnerReferences, sameOwner) ||
		!sameSpec(request.OldObject.Raw, request.Object.Raw)
}

func sameOwner(a, b metav1.OwnerReference) bool {
	return a.UID == b.UID && a.Kind == b.Kind && a.Name == b.Name
}

func metadataOf(raw []byte) metav1.ObjectMeta {
	var object struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
	}
	_ = json.Unmarshal(raw, &object, jsontext.AllowInvalidUTF8(true)) // The API server has decoded it already.
	return object.Metadata
}

func sameSpec(before, after []byte) bool {
	return string(canonicalSpec(before)) == string(canonicalSpec(after))
}

func canonicalSpec(raw []byte) []byte {
	var object struct {
		Spec jsontext.Value `json:"spec"`
	}
	if json.Unmarshal(raw, &object, jsontext.AllowInvalidUTF8(true)) != nil || object.Spec.Canonicalize() != nil {
		return raw
	}
	return object.Spec
}
