package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/metrics"
	"github.com/trailkeeper/trailkeeper/internal/recorder"
	"github.com/trailkeeper/trailkeeper/internal/rules"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
	"github.com/trailkeeper/trailkeeper/test/bench/load"
	"github.com/trailkeeper/trailkeeper/test/bench/report"
)

// unwanted measures, in this process, a request that no trail wants: what the recorder does beyond decoding the envelope
// of the AdmissionReview.
func unwanted(_ context.Context, _ *Rig, size Size, into *report.Report) error {
	review, err := nodesReview()
	if err != nil {
		return err
	}
	asked := &unasked{}
	answer := &discard{header: http.Header{}}
	whole, envelope := handleReview(asked, answer, review), decodeReview(review)
	if whole(); asked.events > 0 || answer.status != 0 {
		return fmt.Errorf("the recorder stored %d events of a request that nobody wants, and answered with status %d",
			asked.events, answer.status)
	}
	var nanoseconds, allocations, wholes, envelopes []float64
	for range size.Rounds {
		all, decoding := measure(whole), measure(envelope)
		wholes = append(wholes, float64(all.NsPerOp()))
		envelopes = append(envelopes, float64(decoding.NsPerOp()))
		nanoseconds = append(nanoseconds, float64(all.NsPerOp()-decoding.NsPerOp()))
		allocations = append(allocations, float64(all.AllocsPerOp()-decoding.AllocsPerOp()))
	}
	into.Add("recorder.unwanted.ns", load.Median(nanoseconds), "ns beyond the envelope", report.Target{})
	into.Add("recorder.unwanted.allocs", load.Median(allocations), "allocations beyond the envelope", report.Target{})
	into.AddRow(remark("unwanted request", fmt.Sprintf("%d bytes", len(review)), fmt.Sprintf(
		"%.1f µs in all, %.1f µs for the envelope", load.Median(wholes)/1000, load.Median(envelopes)/1000)))
	return nil
}

func measure(once func()) testing.BenchmarkResult {
	return testing.Benchmark(func(b *testing.B) { //nolint:thelper // It is the benchmark itself.
		for b.Loop() {
			once()
		}
	})
}

// decodeReview decodes the envelope and leaves the objects in it alone.
func decodeReview(review []byte) func() {
	return func() {
		var decoded admissionv1.AdmissionReview
		// As the recorder does it.
		err := jsonv2.Unmarshal(review, &decoded, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
		if err != nil {
			panic(err) // It is the benchmark's own.
		}
	}
}

// handleReview has the recorder answer as if the review came over HTTP.
func handleReview(events *unasked, answer *discard, review []byte) func() {
	trails := []v1alpha1.AuditTrail{{ObjectMeta: metav1.ObjectMeta{Namespace: testenv.OperatorNamespace, Name: "tenant"}}}
	for i := range 10 {
		namespace := fmt.Sprintf("project-%d", i)
		trails = append(trails, v1alpha1.AuditTrail{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "project"}})
	}
	store := &rules.Store{}
	store.Swap(rules.Compile(trails, rules.Options{OperatorNamespace: testenv.OperatorNamespace}))
	counters := metrics.Register(prometheus.NewRegistry())
	handler := recorder.New(store, events, audit.NewDigester([]byte("bench")), &counters.Recorder, nil, clock.RealClock{}).
		Handler(v1alpha1.FailurePolicyIgnore)

	body := &body{}
	request := &http.Request{Method: http.MethodPost, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}
	return func() {
		body.Reset(review)
		handler.ServeHTTP(answer, request)
	}
}

// nodesReview is a kubelet's update of a pod, which trails without rules look at and leave out.
func nodesReview() ([]byte, error) {
	pod, err := json.Marshal(&corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "project-3", Name: "web-0", UID: "7d0c6a52-6f4e-4f0e-9a55-0d5e3b6f6c11"},
		Spec: corev1.PodSpec{NodeName: "worker-1", Containers: []corev1.Container{{
			Name: "web", Image: "registry.example/web:1.2.3",
			Env: []corev1.EnvVar{{Name: "SETTINGS", Value: strings.Repeat("colour=teal ", 100)}},
		}}},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding a pod: %w", err)
	}
	kind := metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}
	resource := metav1.GroupVersionResource{Version: "v1", Resource: "pods"}
	review, err := json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "0b4c2c1e-5d41-4f58-9f6e-1f3b0f1f7a11", Kind: kind, Resource: resource,
			RequestKind: &kind, RequestResource: &resource,
			Namespace: "project-3", Name: "web-0", Operation: admissionv1.Update,
			UserInfo: authenticationv1.UserInfo{
				Username: "system:node:worker-1", Groups: []string{"system:nodes", "system:authenticated"},
			},
			Object: runtime.RawExtension{Raw: pod}, OldObject: runtime.RawExtension{Raw: pod},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding an AdmissionReview: %w", err)
	}
	return review, nil
}

// unasked is never asked to store anything, because nothing is wanted; it counts when it is.
type unasked struct{ events int }

// Pod is not asked for either.
func (*unasked) Pod(context.Context, string, string) ([]byte, error) {
	return nil, errors.New("nobody is evicted")
}

func (u *unasked) Record(context.Context, *v1alpha1.AuditEvent, v1alpha1.Durability) (types.NamespacedName, error) {
	u.events++
	return types.NamespacedName{}, errors.New("nothing is stored here")
}

// body is a request's body that can be read again, without an allocation that a server would not make.
type body struct{ bytes.Reader }

func (*body) Close() error { return nil }

// discard is a response that nobody reads; status is 0 unless one was set.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header       { return d.header }
func (*discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)    { d.status = status }
