package scenario

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

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
	"github.com/trailkeeper/trailkeeper/internal/spill"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
	"github.com/trailkeeper/trailkeeper/test/bench/load"
	"github.com/trailkeeper/trailkeeper/test/bench/report"
)

const (
	// BaselineCommand makes the program a webhook that only checks the JSON of a review and appends it to a file, which
	// is as little as a webhook can do that records anything.
	BaselineCommand = "baseline-webhook"
	// LocalCommand makes it a recorder whose one trail is Local, and whose file nobody replays.
	LocalCommand = "local-webhook"
	// localRequests are as many as make the CPU time of a process a figure.
	localRequests = 20_000
)

// newBaseline appends without waiting for the disk.
func newBaseline([]string) (http.Handler, func(), error) {
	file, err := os.CreateTemp("", "trailkeeper-bench-")
	if err != nil {
		return nil, nil, fmt.Errorf("making the baseline's file: %w", err)
	}
	var mu sync.Mutex
	record := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !json.Valid(body) {
			http.Error(w, "not JSON", http.StatusBadRequest)
			return
		}
		mu.Lock()
		_, err = file.Write(append(body, '\n'))
		mu.Unlock()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"allowed":true}}`)
	}
	return http.HandlerFunc(record), func() {
		_ = file.Close()
		_ = os.Remove(file.Name())
	}, nil
}

// newLocal is the recorder with everything but a control plane.
func newLocal([]string) (http.Handler, func(), error) {
	file, end, err := newSpill()
	if err != nil {
		return nil, nil, err
	}
	trail := v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: localNamespace, Name: "bench", UID: "local"},
		Spec: v1alpha1.AuditTrailSpec{
			Recording: v1alpha1.RecordingPolicy{Durability: v1alpha1.DurabilityLocal},
			Rules: []v1alpha1.Rule{{
				Level: v1alpha1.LevelChanges, Resources: []v1alpha1.GroupResources{{Resources: []string{"configmaps"}}},
			}},
		},
	}
	compiled := &rules.Store{}
	compiled.Swap(rules.Compile([]v1alpha1.AuditTrail{trail}, rules.Options{OperatorNamespace: testenv.OperatorNamespace}))
	counters := metrics.Register(prometheus.NewRegistry())
	// Without a client, an event that the file does not take would end the process, rather than be measured as something else.
	store := recorder.NewStore(nil, testenv.OperatorNamespace, file, func() string { return "4711" }, &counters.Recorder)
	handler := recorder.New(compiled, store, audit.NewDigester([]byte("bench")), &counters.Recorder, nil, clock.RealClock{}).
		Handler(v1alpha1.FailurePolicyIgnore)
	return handler, end, nil
}

// newSpill is a spill file that nobody replays, and what removes it.
func newSpill() (_ *spill.Store, end func(), err error) {
	dir, err := os.MkdirTemp("", "trailkeeper-bench-")
	if err != nil {
		return nil, nil, fmt.Errorf("making the folder of a spill file: %w", err)
	}
	file, err := spill.Open(filepath.Join(dir, "spill"), spill.Options{MaxBytes: 1 << 30})
	if err != nil {
		return nil, nil, err
	}
	return file, func() {
		_ = file.Close()
		_ = os.RemoveAll(dir)
	}, nil
}

// local compares the CPU that recording takes on the admission path, from the request to the event on disk, with that of
// the baseline. Both are served as a webhook is, and sent the same reviews.
func local(ctx context.Context, _ *Rig, size Size, into *report.Report) error {
	rig := newRig(io.Discard)
	defer rig.close()
	var ratios, recorder, baseline []float64
	for range size.Rounds {
		recorded, err := rig.cpuPerReview(ctx, LocalCommand, size)
		if err != nil {
			return err
		}
		checked, err := rig.cpuPerReview(ctx, BaselineCommand, size)
		if err != nil {
			return err
		}
		ratios = append(ratios, recorded/checked)
		recorder, baseline = append(recorder, recorded), append(baseline, checked)
	}
	into.Add("recorder.local.cpu_ratio", load.Median(ratios), "of a handler that appends the body", report.AtMost(2))
	into.AddRow(remark("admission, Local", fmt.Sprintf("%d reviews of an update", size.reviews()),
		fmt.Sprintf("CPU %.0f µs each, of the baseline %.0f µs", load.Median(recorder), load.Median(baseline))))
	return nil
}

func (s Size) reviews() int { return localRequests * s.Rounds / Full.Rounds }

// cpuPerReview is in microseconds.
func (r *Rig) cpuPerReview(ctx context.Context, command string, size Size) (float64, error) {
	webhook, err := r.startWebhook(ctx, command)
	if err != nil {
		return 0, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(webhook.at.CA)
	poster := &poster{host: webhook.at.URL, client: &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}}
	send := func(ctx context.Context, number int) error { return poster.review(ctx, updateReview(number)) }
	if err := load.Each(ctx, workers, size.reviews()/10, send); err != nil {
		return 0, err
	}
	before, err := testenv.UsageOf(webhook.pid)
	if err != nil {
		return 0, err
	}
	count := size.reviews()
	err = load.Each(ctx, workers, count, func(ctx context.Context, number int) error { return send(ctx, count+number) })
	if err != nil {
		return 0, err
	}
	after, err := testenv.UsageOf(webhook.pid)
	return float64((after.CPU - before.CPU).Microseconds()) / float64(count), err
}

// review sends a review and fails unless it is admitted.
func (p *poster) review(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.host+rules.IgnorePath, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("sending a review: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := p.client.Do(request)
	if err != nil {
		return fmt.Errorf("sending a review: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !bytes.Contains(answer, []byte(`"allowed":true`)) {
		return fmt.Errorf("the review was answered %s: %s (%w)", response.Status, answer, err)
	}
	return nil
}

// updateReview is an update of a ConfigMap by somebody; each number is another change.
func updateReview(number int) []byte {
	object := func(value string) runtime.RawExtension {
		// Its fields are plain, so that encoding it cannot fail.
		encoded, _ := json.Marshal(&corev1.ConfigMap{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
			ObjectMeta: metav1.ObjectMeta{
				Namespace: localNamespace, Name: "settings", UID: "7d0c6a52-6f4e-4f0e-9a55-0d5e3b6f6c11",
				ResourceVersion: strconv.Itoa(number + 1), CreationTimestamp: metav1.NewTime(time.Unix(1_700_000_000, 0)),
			},
			Data: map[string]string{"greeting": value, "settings": strings.Repeat("colour=teal\n", 32)},
		})
		return runtime.RawExtension{Raw: encoded}
	}
	kind := metav1.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
	resource := metav1.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	body, _ := json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: types.UID(fmt.Sprintf("review-%d", number)), Kind: kind, Resource: resource,
			RequestKind: &kind, RequestResource: &resource,
			Namespace: localNamespace, Name: "settings", Operation: admissionv1.Update,
			UserInfo: authenticationv1.UserInfo{Username: userName, Groups: []string{userGroup, "system:authenticated"}},
			Object:   object("hello " + strconv.Itoa(number)), OldObject: object("hello"),
			Options: runtime.RawExtension{Raw: []byte(`{"kind":"UpdateOptions","apiVersion":"meta.k8s.io/v1","fieldManager":"bench"}`)},
		},
	})
	return body
}
