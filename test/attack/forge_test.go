package attack

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// review says that alice did something, as only the API server may say it.
func review(t *testing.T, name string) []byte {
	t.Helper()
	kind := metav1.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
	resource := metav1.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	body, err := json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "6b1c0f8f-6f0e-4a52-9d38-8a0f4d3b7c11", Kind: kind, Resource: resource, RequestKind: &kind, RequestResource: &resource,
			Name: name, Namespace: shared, Operation: admissionv1.Create, UserInfo: authenticationv1.UserInfo{Username: worker},
			Object: runtime.RawExtension{Raw: []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"` + name + `","namespace":"` + shared + `"}}`)},
		},
	})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return body
}

// post sends a review to a replica without knowing its authority, and returns the answer's status.
func post(t *testing.T, url string, body []byte) int {
	t.Helper()
	g := NewWithT(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	// An attacker does not care whom they talk to.
	anybody := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer anybody.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	g.Expect(err).NotTo(HaveOccurred())
	request.Header.Set("Content-Type", "application/json")
	answer, err := anybody.Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(answer.Body.Close()).To(Succeed())
	return answer.StatusCode
}

// TestForgedReviewsAreTurnedAway: who reaches the port, and does not know the path, has nothing recorded. That the path is what
// keeps them out shows who does know it.
func TestForgedReviewsAreTurnedAway(t *testing.T) {
	g := NewWithT(t)
	token := tokenInForce(t)
	about := func(name string) []v1alpha1.AuditEvent {
		return eventsOf(t, tenant, func(e *v1alpha1.AuditEvent) bool { return e.Spec.Resource.Name == name })
	}
	for i, address := range operator.WebhookAddresses() {
		strangers := func() float64 {
			value, err := operator.Replica(i).Metric(t.Context(), "trailkeeper_webhook_strangers_total")
			g.Expect(err).NotTo(HaveOccurred())
			return value
		}
		before := strangers()
		for _, path := range []string{"/record/ignore/", "/record/fail/" + token[1:], "/record/note/../ignore/x", "/record/attempt/" + token + "0"} {
			g.Expect(post(t, "https://"+address+path, review(t, "never-made"))).To(Equal(http.StatusNotFound), path)
		}
		g.Expect(strangers()).To(BeNumerically(">=", before+3))
		g.Expect(about("never-made")).To(BeEmpty())
		before = strangers()
		g.Expect(post(t, "https://"+address+"/record/ignore/"+token, review(t, "made-by-who-knows"))).To(Equal(http.StatusOK))
		g.Expect(strangers()).To(Equal(before))
	}
	g.Expect(about("made-by-who-knows")).NotTo(BeEmpty())
}
