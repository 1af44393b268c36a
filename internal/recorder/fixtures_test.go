package recorder

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/metrics"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

const (
	operatorNamespace = "trailkeeper-system"
	requestsTotal     = "trailkeeper_recorder_requests_total"
	eventsTotal       = "trailkeeper_recorder_events_total"
	unrecordedTotal   = "trailkeeper_recorder_unrecorded_events_total"
)

// fakeStore keeps events in memory, and fails while err is set.
type fakeStore struct {
	mu     sync.Mutex
	err    error
	events []v1alpha1.AuditEvent
	// durabilities says how each event was to be kept.
	durabilities []v1alpha1.Durability
	// release is closed to let Record go on; nil not to hold it.
	release chan struct{}
	// pod is the one that is there, and podErr why it cannot be read.
	pod    []byte
	podErr error
}

// Pod shows the pod that the store has.
func (s *fakeStore) Pod(_ context.Context, _, _ string) ([]byte, error) {
	return s.pod, s.podErr
}

func (s *fakeStore) Record(_ context.Context, event *v1alpha1.AuditEvent, durability v1alpha1.Durability) (types.NamespacedName, error) {
	if s.release != nil {
		<-s.release
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := types.NamespacedName{Namespace: event.Namespace, Name: event.Name}
	if s.err != nil {
		return key, s.err
	}
	s.events = append(s.events, *event)
	s.durabilities = append(s.durabilities, durability)
	return key, nil
}

func (s *fakeStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// rig is a recorder with a fake store.
type rig struct {
	recorder *Recorder
	rules    *rules.Store
	store    *fakeStore
	clock    *clocktesting.FakePassiveClock
	registry *prometheus.Registry
	// lost are the names of the trails that were told of a loss, in order.
	lost []string
	// turnedAway are those that were told that no more may wait.
	turnedAway []string
}

// Lost makes the rig what the recorder tells of losses.
func (r *rig) Lost(trail v1alpha1.TrailReference, _ time.Time) {
	r.lost = append(r.lost, trail.Namespace+"/"+trail.Name)
}

// TurnedAway makes the rig what the recorder tells of events for which there is no room.
func (r *rig) TurnedAway(trail v1alpha1.TrailReference, _ time.Time) {
	r.turnedAway = append(r.turnedAway, trail.Namespace+"/"+trail.Name)
}

// newRig makes a recorder that records for the trails.
func newRig(trails ...v1alpha1.AuditTrail) *rig {
	r := &rig{
		rules:    &rules.Store{},
		store:    &fakeStore{},
		clock:    clocktesting.NewFakePassiveClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)),
		registry: prometheus.NewRegistry(),
	}
	if trails != nil {
		r.rules.Swap(rules.Compile(trails, rules.Options{OperatorNamespace: operatorNamespace}))
	}
	digester := audit.NewDigester([]byte("0123456789abcdef0123456789abcdef"))
	r.recorder = New(r.rules, r.store, digester, &metrics.Register(r.registry).Recorder, r, r.clock)
	return r
}

// call sends a body to the entry of the policy.
func (r *rig) call(t *testing.T, policy v1alpha1.FailurePolicy, body []byte) *httptest.ResponseRecorder {
	t.Helper()
	return serve(t, r.recorder.Handler(policy), body)
}

func serve(t *testing.T, handler http.Handler, body []byte) *httptest.ResponseRecorder {
	t.Helper()
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/record", bytes.NewReader(body)))
	return response
}

// ask sends a request to the entry of the policy and returns the answer.
func (r *rig) ask(t *testing.T, policy v1alpha1.FailurePolicy, request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	t.Helper()
	return answered(t, request, r.call(t, policy, review(t, request)))
}

// askNote sends a request to the entry of notes and returns the answer.
func (r *rig) askNote(t *testing.T, request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	t.Helper()
	return answered(t, request, serve(t, r.recorder.NoteHandler(), review(t, request)))
}

func answered(t *testing.T, request *admissionv1.AdmissionRequest, response *httptest.ResponseRecorder) *admissionv1.AdmissionResponse {
	t.Helper()
	g := NewWithT(t)
	g.Expect(response.Code).To(Equal(http.StatusOK), response.Body.String())
	var review admissionv1.AdmissionReview
	g.Expect(json.Unmarshal(response.Body.Bytes(), &review)).To(Succeed())
	g.Expect(review.APIVersion).To(Equal("admission.k8s.io/v1"))
	g.Expect(review.Kind).To(Equal("AdmissionReview"))
	g.Expect(review.Response).NotTo(BeNil())
	g.Expect(review.Response.UID).To(Equal(request.UID))
	return review.Response
}

// counter is the value of a counter, of one value of its label when it has one.
func (r *rig) counter(t *testing.T, name, label string) float64 {
	t.Helper()
	return counterOf(t, r.registry, name, label)
}

func counterOf(t *testing.T, registry *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := registry.Gather()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			if labels := metric.GetLabel(); len(labels) == 0 && label == "" || len(labels) == 1 && labels[0].GetValue() == label {
				return metric.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func newTrail(namespace, name string, edits ...func(*v1alpha1.AuditTrail)) v1alpha1.AuditTrail {
	trail := v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + "-" + name)},
		Spec:       v1alpha1.AuditTrailSpec{Type: v1alpha1.TrailTypeClusterOnly},
	}
	trail.Spec.Recording = v1alpha1.RecordingPolicy{
		FailurePolicy: v1alpha1.FailurePolicyIgnore, Durability: v1alpha1.DurabilityReplicated,
	}
	for _, edit := range edits {
		edit(&trail)
	}
	return trail
}

func failing(trail *v1alpha1.AuditTrail) {
	trail.Spec.Recording.FailurePolicy = v1alpha1.FailurePolicyFail
}

func full(trail *v1alpha1.AuditTrail) {
	trail.Status.Delivery = &v1alpha1.DeliveryStatus{Backlog: v1alpha1.BacklogFull}
}

func local(trail *v1alpha1.AuditTrail) { trail.Spec.Recording.Durability = v1alpha1.DurabilityLocal }

// update is alice's update of a ConfigMap; edits change it.
func update(edits ...func(*admissionv1.AdmissionRequest)) *admissionv1.AdmissionRequest {
	request := &admissionv1.AdmissionRequest{
		UID:       "request-1",
		Kind:      metav1.GroupVersionKind{Version: "v1", Kind: "ConfigMap"},
		Resource:  metav1.GroupVersionResource{Version: "v1", Resource: "configmaps"},
		Name:      "web",
		Namespace: "shop",
		Operation: admissionv1.Update,
		UserInfo:  authenticationv1.UserInfo{Username: "alice", Groups: []string{"developers"}},
		OldObject: runtime.RawExtension{Raw: []byte(`{"metadata":{"name":"web","uid":"u1","resourceVersion":"7"},"data":{"a":"1"}}`)},
		Object:    runtime.RawExtension{Raw: []byte(`{"metadata":{"name":"web","uid":"u1","resourceVersion":"7"},"data":{"a":"2"}}`)},
	}
	for _, edit := range edits {
		edit(request)
	}
	return request
}

// eviction is alice's request to evict a pod.
func eviction() *admissionv1.AdmissionRequest {
	return update(func(request *admissionv1.AdmissionRequest) {
		request.Operation = admissionv1.Create
		request.Kind = metav1.GroupVersionKind{Group: "policy", Version: "v1", Kind: "Eviction"}
		request.Resource.Resource, request.SubResource = "pods", "eviction"
		request.OldObject.Raw, request.Object.Raw = nil, []byte(`{"metadata":{"name":"web"}}`)
	})
}

func dryRun(request *admissionv1.AdmissionRequest) {
	yes := true
	request.DryRun = &yes
}

func review(t *testing.T, request *admissionv1.AdmissionRequest) []byte {
	t.Helper()
	review := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: request,
	}
	body, err := json.Marshal(&review)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return body
}
