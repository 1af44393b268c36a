package recorder

import (
	"net/http"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

func TestMalformedReviews(t *testing.T) {
	valid := string(review(t, update()))
	tests := map[string]struct{ body, says string }{
		"empty":         {"", "decoding the AdmissionReview"},
		"not JSON":      {"kind: AdmissionReview", "decoding the AdmissionReview"},
		"cut short":     {valid[:len(valid)/2], "decoding the AdmissionReview"},
		"null":          {"null", "want an AdmissionReview of admission.k8s.io/v1"},
		"a list":        {"[]", "decoding the AdmissionReview"},
		"wrong kind":    {strings.Replace(valid, "AdmissionReview", "TokenReview", 1), "got admission.k8s.io/v1 TokenReview"},
		"wrong version": {strings.Replace(valid, "admission.k8s.io/v1", "admission.k8s.io/v1beta1", 1), "got admission.k8s.io/v1beta1"},
		"no request":    {`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, "no request with a uid"},
		"no uid":        {strings.Replace(valid, "request-1", "", 1), "no request with a uid"},
		"too large":     {`{"padding":"` + strings.Repeat("x", maxBody) + `"}`, "too large"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			r := newRig(newTrail("shop", "all"))

			response := r.call(t, v1alpha1.FailurePolicyIgnore, []byte(test.body))

			g.Expect(response.Code).To(Equal(http.StatusBadRequest))
			g.Expect(response.Body.String()).To(ContainSubstring(test.says))
			g.Expect(r.counter(t, requestsTotal, "malformed")).To(Equal(1.0))
			g.Expect(r.store.events).To(BeEmpty())
		})
	}
}

func TestRulesSeeWhatTheCallerAskedFor(t *testing.T) {
	requested := *update()
	requested.Resource.Group, requested.Resource.Version, requested.SubResource = "apps", "v1", "scale"
	converted := requested
	requested.RequestResource = &requested.Resource
	requested.RequestSubResource = "scale"
	tests := map[string]struct {
		request *admissionv1.AdmissionRequest
		group   string
		name    string
		sub     string
	}{
		"the resource itself": {&converted, "apps", "web", "scale"},
		"asked for otherwise": {&requested, "apps", "web", "scale"},
		"another group": {update(func(r *admissionv1.AdmissionRequest) {
			asked := r.Resource
			asked.Group = "extensions"
			r.RequestResource = &asked
		}), "extensions", "web", ""},
		"the name from the object": {update(func(r *admissionv1.AdmissionRequest) {
			r.Name = ""
		}), "", "web", ""},
		"the name from the old object": {update(func(r *admissionv1.AdmissionRequest) {
			r.Name, r.Object.Raw = "", nil
			r.OldObject.Raw = []byte(`{"metadata":{"name":"gone"}}`)
		}), "", "gone", ""},
		"an object that is not JSON": {update(func(r *admissionv1.AdmissionRequest) {
			r.Name, r.Object.Raw = "", []byte(`[]`)
		}), "", "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			asked := matchable(test.request, true)
			g.Expect(asked.Group).To(Equal(test.group))
			g.Expect(asked.Name).To(Equal(test.name))
			g.Expect(asked.Subresource).To(Equal(test.sub))
			g.Expect(asked.ActorType).To(Equal(v1alpha1.ActorUser))
		})
	}
}
