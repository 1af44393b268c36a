package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/metrics"
	"github.com/trailkeeper/trailkeeper/internal/spill"
)

// fakeSpill keeps records in memory, and fails while err is set.
type fakeSpill struct {
	err     error
	records []spill.Record
}

func (s *fakeSpill) Append(_ context.Context, record spill.Record) error {
	if s.err == nil {
		s.records = append(s.records, record)
	}
	return s.err
}

// fakeAPI answers creates per namespace, and keeps what it takes.
type fakeAPI struct {
	refusals map[string]*apierrors.StatusError
	created  map[string]v1alpha1.AuditEvent
	calls    int
}

func (a *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.calls++
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	body, _ := io.ReadAll(r.Body)
	var event v1alpha1.AuditEvent
	if r.Method != http.MethodPost || len(parts) != 6 || parts[5] != "auditevents" || json.Unmarshal(body, &event) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if refusal, ok := a.refusals[parts[4]]; ok {
		status := refusal.ErrStatus
		status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
		w.WriteHeader(int(status.Code))
		_ = json.NewEncoder(w).Encode(&status)
		return
	}
	a.created[parts[4]+"/"+event.Name] = event
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(&metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"},
	})
}

type storeRig struct {
	api      *fakeAPI
	spill    *fakeSpill
	store    *Store
	registry *prometheus.Registry
}

func newStoreRig(t *testing.T, refusals map[string]*apierrors.StatusError) *storeRig {
	t.Helper()
	api := &fakeAPI{refusals: refusals, created: map[string]v1alpha1.AuditEvent{}}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	config := &rest.Config{Host: server.URL}
	config.GroupVersion = &v1alpha1.GroupVersion
	config.NegotiatedSerializer = clientgoscheme.Codecs.WithoutConversion()
	client, err := rest.UnversionedRESTClientFor(config)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	r := &storeRig{api: api, spill: &fakeSpill{}, registry: prometheus.NewRegistry()}
	r.store = NewStore(client, operatorNamespace, r.spill, func() string { return "4711" }, &metrics.Register(r.registry).Recorder)
	return r
}

func newEvent() *v1alpha1.AuditEvent {
	return &v1alpha1.AuditEvent{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "AuditEvent"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "01j"},
		Spec:       v1alpha1.AuditEventSpec{ID: "abc", TrailRef: v1alpha1.TrailReference{Namespace: "shop", Name: "all"}},
	}
}

var (
	eventsResource = v1alpha1.AuditEventsResource.GroupResource()
	alreadyExists  = apierrors.NewAlreadyExists(eventsResource, "01j")
	noNamespace    = apierrors.NewNotFound(corev1.Resource("namespaces"), "shop")
	unavailable    = apierrors.NewInternalError(errors.New("etcdserver: mvcc: database space exceeded"))
)

// terminating is how the API server refuses a creation in a namespace that is being deleted.
func terminating() *apierrors.StatusError {
	err := apierrors.NewForbidden(eventsResource, "01j", errors.New("unable to create new content in namespace shop because it is being terminated"))
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	return err
}

func TestStore(t *testing.T) {
	forbidden := apierrors.NewForbidden(eventsResource, "01j", errors.New("exceeded quota, or no right"))
	tests := map[string]struct {
		refusals   map[string]*apierrors.StatusError
		durability v1alpha1.Durability
		namespace  string
		stored     string
		created    string
		spilled    int
	}{
		"created":                 {nil, v1alpha1.DurabilityReplicated, "shop", "replicated", "shop/01j", 0},
		"by an earlier try":       {map[string]*apierrors.StatusError{"shop": alreadyExists}, v1alpha1.DurabilityReplicated, "shop", "replicated", "", 0},
		"namespace is being gone": {map[string]*apierrors.StatusError{"shop": terminating()}, v1alpha1.DurabilityReplicated, operatorNamespace, "replicated", operatorNamespace + "/01j", 0},
		"namespace is gone":       {map[string]*apierrors.StatusError{"shop": noNamespace}, v1alpha1.DurabilityReplicated, operatorNamespace, "replicated", operatorNamespace + "/01j", 0},
		"namespace has a quota":   {map[string]*apierrors.StatusError{"shop": forbidden}, v1alpha1.DurabilityReplicated, operatorNamespace, "replicated", operatorNamespace + "/01j", 0},
		"another refusal is no end": {
			map[string]*apierrors.StatusError{"shop": forbidden, operatorNamespace: forbidden},
			v1alpha1.DurabilityReplicated, "shop", "spilled", "", 1,
		},
		"etcd is full": {map[string]*apierrors.StatusError{"shop": unavailable}, v1alpha1.DurabilityReplicated, "shop", "spilled", "", 1},
		"neither namespace takes it": {
			map[string]*apierrors.StatusError{"shop": terminating(), operatorNamespace: unavailable},
			v1alpha1.DurabilityReplicated, "shop", "spilled", "", 1,
		},
		"local first": {nil, v1alpha1.DurabilityLocal, "shop", "local", "", 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			r := newStoreRig(t, test.refusals)

			key, err := r.store.Record(t.Context(), newEvent(), test.durability)

			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(key).To(Equal(types.NamespacedName{Namespace: test.namespace, Name: "01j"}))
			g.Expect(counterOf(t, r.registry, eventsTotal, test.stored)).To(Equal(1.0))
			g.Expect(r.spill.records).To(HaveLen(test.spilled))
			if test.created == "" {
				g.Expect(r.api.created).To(BeEmpty())
				return
			}
			g.Expect(r.api.created).To(HaveLen(1))
			created := r.api.created[test.created]
			g.Expect(created.Namespace).To(Equal(test.namespace))
			g.Expect(created.Spec.TrailRef.Namespace).To(Equal("shop"), "the trail is still the one that asked")
		})
	}
}

// TestStoreOfADeletedPod: the API server does not accept its token any more, and its local file goes with it.
func TestStoreOfADeletedPod(t *testing.T) {
	g := NewWithT(t)
	r := newStoreRig(t, map[string]*apierrors.StatusError{"shop": apierrors.NewUnauthorized("service account token has been invalidated")})
	_, err := r.store.Record(t.Context(), newEvent(), v1alpha1.DurabilityReplicated)
	g.Expect(err).To(MatchError(errDisowned))
	g.Expect(r.spill.records).To(HaveLen(1), "it may be accepted again")
}

func TestStoreSpillsUnderTheTrailsNamespace(t *testing.T) {
	g := NewWithT(t)
	r := newStoreRig(t, map[string]*apierrors.StatusError{"shop": unavailable})

	_, err := r.store.Record(t.Context(), newEvent(), v1alpha1.DurabilityReplicated)

	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(r.spill.records[0].Namespace).To(Equal("shop"))
	g.Expect(r.spill.records[0].Name).To(Equal("01j"))
	var kept v1alpha1.AuditEvent
	g.Expect(json.Unmarshal(r.spill.records[0].Body, &kept)).To(Succeed())
	g.Expect(kept.Annotations).To(HaveKeyWithValue(v1alpha1.KeptLocallyAnnotation, "4711"))
	g.Expect(kept.Spec.ID).To(Equal("abc"))
}

func TestStoreOfALocalTrailWithoutItsFile(t *testing.T) {
	g := NewWithT(t)
	r := newStoreRig(t, nil)
	r.spill.err = spill.ErrFull

	_, err := r.store.Record(t.Context(), newEvent(), v1alpha1.DurabilityLocal)

	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(r.api.created).To(HaveKey("shop/01j"))
}

func TestStoreWithoutAnyPlace(t *testing.T) {
	g := NewWithT(t)
	r := newStoreRig(t, map[string]*apierrors.StatusError{"shop": unavailable})
	r.spill.err = spill.ErrFull

	for _, durability := range []v1alpha1.Durability{v1alpha1.DurabilityReplicated, v1alpha1.DurabilityLocal} {
		_, err := r.store.Record(t.Context(), newEvent(), durability)
		g.Expect(err).To(MatchError(spill.ErrFull))
		g.Expect(err).To(MatchError(ContainSubstring("database space exceeded")))
	}
	for _, stored := range []string{"replicated", "local", "spilled"} {
		g.Expect(counterOf(t, r.registry, eventsTotal, stored)).To(BeZero())
	}
}

func TestStoreGoesOnWhenTheAPIServerGaveUp(t *testing.T) {
	g := NewWithT(t)
	r := newStoreRig(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	_, err := r.store.Record(ctx, newEvent(), v1alpha1.DurabilityReplicated)

	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(r.api.created).To(HaveKey("shop/01j"), "the change may still be admitted")
}
