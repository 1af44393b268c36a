package app

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	clocktesting "k8s.io/utils/clock/testing"
)

type answer struct {
	status int
	err    error
}

func (a answer) RoundTrip(*http.Request) (*http.Response, error) {
	if a.err != nil {
		return nil, a.err
	}
	return &http.Response{StatusCode: a.status, Body: http.NoBody}, nil
}

// TestWhatShowsThatTheAPIServerStores: no read, no refusal, and no review does.
func TestWhatShowsThatTheAPIServerStores(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		method, path string
		answer       answer
		want         time.Time
	}{
		"an event":             {http.MethodPost, "/apis/audit.trailkeeper.dev/v1alpha1/namespaces/shop/auditevents", answer{status: 201}, now},
		"an event, refused":    {http.MethodPost, "/apis/audit.trailkeeper.dev/v1alpha1/namespaces/shop/auditevents", answer{status: 500}, time.Time{}},
		"a sign of life":       {http.MethodPatch, "/apis/coordination.k8s.io/v1/namespaces/n/leases/l", answer{status: 200}, now},
		"a lease":              {http.MethodPut, "/apis/coordination.k8s.io/v1/namespaces/n/leases/l", answer{status: 200}, now},
		"a lease, not reached": {http.MethodPut, "/apis/coordination.k8s.io/v1/namespaces/n/leases/l", answer{err: errors.New("no")}, time.Time{}},
		"a review":             {http.MethodPost, "/apis/authentication.k8s.io/v1/tokenreviews", answer{status: 201}, time.Time{}},
		"a read":               {http.MethodGet, "/api/v1/namespaces/shop", answer{status: 200}, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := &witness{clock: clocktesting.NewFakePassiveClock(now)}
			response, err := w.watch(test.answer).RoundTrip(httptest.NewRequestWithContext(t.Context(), test.method, test.path, http.NoBody))
			if err == nil {
				g.Expect(response.Body.Close()).To(Succeed())
			}
			g.Expect(w.LastStored()).To(Equal(test.want))
		})
	}
}
