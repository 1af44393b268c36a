package recorder

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/metrics"
)

// webhookTimeout is how long the API server waits for the recorder (rules.Webhooks).
const webhookTimeout = 5 * time.Second

// slowAPI is a fakeAPI that takes its time: what it does not answer within the client's deadline did not happen.
type slowAPI struct {
	fakeAPI
	// takes is how long requests take whose path contains the key.
	takes map[string]time.Duration
}

// RoundTrip answers without a network, so that its time is that of the test.
func (a *slowAPI) RoundTrip(r *http.Request) (*http.Response, error) {
	for part, pause := range a.takes {
		if !strings.Contains(r.URL.Path, part) {
			continue
		}
		select {
		case <-r.Context().Done():
			return nil, r.Context().Err()
		case <-time.After(pause):
		}
	}
	answer := httptest.NewRecorder()
	a.ServeHTTP(answer, r)
	return answer.Result(), nil
}

// slowStore is a Store in front of an API server that takes its time.
func slowStore(t *testing.T, api *slowAPI) (*Store, *fakeSpill) {
	t.Helper()
	api.created = map[string]v1alpha1.AuditEvent{}
	config := &rest.Config{Host: "http://slow.example", Transport: api}
	config.GroupVersion = &v1alpha1.GroupVersion
	config.NegotiatedSerializer = clientgoscheme.Codecs.WithoutConversion()
	client, err := rest.UnversionedRESTClientFor(config)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	kept := &fakeSpill{}
	return NewStore(client, operatorNamespace, kept, func() string { return "" }, &metrics.Register(prometheus.NewRegistry()).Recorder), kept
}

// TestASlowPodCostsNoRecord: an eviction is recorded, without its pod, while there is still time to answer.
func TestASlowPodCostsNoRecord(t *testing.T) {
	for name, test := range map[string]struct {
		takes   map[string]time.Duration
		want    time.Duration
		spilled int
	}{
		"the pod":       {map[string]time.Duration{"/pods/": time.Minute}, podTimeout, 0},
		"all of it":     {map[string]time.Duration{"/pods/": time.Minute, "/auditevents": time.Minute}, podTimeout + createTimeout, 1},
		"but not quite": {map[string]time.Duration{"/pods/": time.Minute, "/auditevents": createTimeout - 1}, podTimeout + createTimeout - 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				api := &slowAPI{takes: test.takes}
				r := newRig(newTrail("shop", "all", failing))
				store, kept := slowStore(t, api)
				r.recorder.store = store
				began := time.Now()

				g.Expect(r.ask(t, v1alpha1.FailurePolicyFail, eviction()).Allowed).To(BeTrue())

				g.Expect(time.Since(began)).To(Equal(test.want))
				g.Expect(test.want).To(BeNumerically("<", webhookTimeout-500*time.Millisecond), "the file and the answer take time too")
				g.Expect(kept.records).To(HaveLen(test.spilled))
				g.Expect(api.created).To(HaveLen(1 - test.spilled))
				var event v1alpha1.AuditEvent
				for _, event = range api.created {
					g.Expect(event.Spec.Resource.Subresource).To(Equal("eviction"))
				}
				for _, record := range kept.records {
					g.Expect(json.Unmarshal(record.Body, &event)).To(Succeed())
				}
				g.Expect(event.Spec.Resource.Name).To(Equal("web"))
				g.Expect(event.Spec.Resource.UID).To(BeEmpty(), "nobody could say which pod it was")
			})
		})
	}
}

// TestAClosedNamespaceTakesNoFurtherTime: both namespaces together have the time that one has.
func TestAClosedNamespaceTakesNoFurtherTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		api := &slowAPI{takes: map[string]time.Duration{"/shop/": createTimeout - time.Second, "/" + operatorNamespace + "/": time.Minute}}
		api.refusals = map[string]*apierrors.StatusError{"shop": terminating()}
		store, kept := slowStore(t, api)
		began := time.Now()

		key, err := store.Record(t.Context(), newEvent(), v1alpha1.DurabilityReplicated)

		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(time.Since(began)).To(Equal(createTimeout))
		g.Expect(key).To(Equal(types.NamespacedName{Namespace: "shop", Name: "01j"}))
		g.Expect(kept.records).To(HaveLen(1))
	})
}
