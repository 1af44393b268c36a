package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/test/bench/load"
	"github.com/trailkeeper/trailkeeper/test/bench/report"
)

// TestMain is a webhook when a scenario runs this program as that.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && IsWebhook(os.Args[1]) {
		if err := ServeWebhook(os.Args[1], os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "webhook:", err)
			os.Exit(1)
		}
		return
	}
	m.Run()
}

func TestNoopAdmitsTheReviewThatItGot(t *testing.T) {
	g := NewWithT(t)
	review, err := nodesReview()
	g.Expect(err).NotTo(HaveOccurred())
	answered := httptest.NewRecorder()
	admit(answered, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewReader(review)))

	var answer admissionv1.AdmissionReview
	g.Expect(json.Unmarshal(answered.Body.Bytes(), &answer)).To(Succeed())
	g.Expect(answer.APIVersion).To(Equal("admission.k8s.io/v1"))
	g.Expect(answer.Response.Allowed).To(BeTrue())
	g.Expect(string(answer.Response.UID)).To(Equal("0b4c2c1e-5d41-4f58-9f6e-1f3b0f1f7a11"))
}

func TestNoopSaysWhereItIsAndEndsWithItsInput(t *testing.T) {
	g := NewWithT(t)
	var out bytes.Buffer
	g.Expect(ServeWebhook(NoopCommand, nil, strings.NewReader(""), &out)).To(Succeed())
	var at webhookAddress
	g.Expect(json.Unmarshal(out.Bytes(), &at)).To(Succeed())
	g.Expect(at.URL).To(HavePrefix("https://127.0.0.1:"))
	g.Expect(string(at.CA)).To(HavePrefix("-----BEGIN CERTIFICATE-----"))
}

func TestNobodyWantsTheNodesReview(t *testing.T) {
	g := NewWithT(t)
	review, err := nodesReview()
	g.Expect(err).NotTo(HaveOccurred())
	asked, answer := &unasked{}, &discard{header: http.Header{}}
	handleReview(asked, answer, review)()
	g.Expect(asked.events).To(BeZero())
	g.Expect(answer.status).To(BeZero(), "the request must be admitted")
	g.Expect(decodeReview(review)).NotTo(Panic())
}

// The ConfigMaps must show that every event of the backlog stuck, or delivery has other work than it has in a cluster.
func TestObjectsShowWhatTheBacklogSays(t *testing.T) {
	g := NewWithT(t)
	trail := &v1alpha1.AuditTrail{ObjectMeta: metav1.ObjectMeta{Namespace: backlogNamespace, Name: "bench", UID: "trail"}}
	b := &backlog{
		trail: trail, digester: audit.NewDigester([]byte("key")), objects: make([]corev1.ConfigMap, 3), count: 10,
	}
	for i := range b.objects {
		b.objects[i] = b.object(i)
	}
	names := map[string]bool{}
	for number := range b.count {
		event := b.event(number)
		names[event.Name] = true
		object, err := json.Marshal(&b.objects[number%len(b.objects)])
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(audit.Sight(b.digester, event.Spec.Evidence, object)).To(Equal(audit.SawAfter))
		g.Expect(event.Spec.Resource.Name).To(Equal(b.objects[number%len(b.objects)].Name))
	}
	g.Expect(names).To(HaveLen(b.count))
}

// Each round is compared with itself: the third one saw a machine that was three times as slow.
func TestRoundsAreComparedWithThemselves(t *testing.T) {
	g := NewWithT(t)
	round := func(latency time.Duration) load.Result {
		return load.Result{Latencies: []time.Duration{latency, latency}, Took: 2 * latency}
	}
	run := &recorderRun{size: Size{Rounds: 3}, cpu: 12 * time.Millisecond, events: 6}
	for _, p := range phases {
		added := 2 * time.Millisecond
		if p.rate == 100 {
			added = 3 * time.Millisecond
		}
		var results [configurations][]load.Result
		for _, slow := range []time.Duration{1, 1, 3} {
			results[withNothing] = append(results[withNothing], round(slow*time.Millisecond))
			results[withNoop] = append(results[withNoop], round(slow*4*time.Millisecond))
			results[withReplicated] = append(results[withReplicated], round(slow*(4*time.Millisecond+added)))
			results[withLocal] = append(results[withLocal], round(slow*5*time.Millisecond))
		}
		run.results = append(run.results, results)
	}
	into := &report.Report{}
	run.report(into)

	values := map[string]float64{}
	for _, metric := range into.Metrics {
		values[metric.Name] = metric.Value
	}
	g.Expect(values).To(Equal(map[string]float64{
		"recorder.replicated.added_p50_ms":    3,
		"recorder.replicated.saturated_ratio": 2.0 / 3,
		"recorder.local.added_p50_ms":         1,
		"recorder.local.saturated_ratio":      0.8,
		"manager.cpu_ms_per_event":            2,
	}))
	g.Expect(into.Rows).To(HaveLen(len(phases) * len(compared)))
}

// Sixty trails, six of which are broken, each in its way: all others become ready. How much longer they take than a lone
// one is for the benchmark to say.
func TestHealthyTrailsStartBesideBrokenOnes(t *testing.T) {
	g := NewWithT(t)
	figures, err := Run(t.Context(), Short, func(name string) bool { return name == "trails" }, io.Discard)
	g.Expect(err).NotTo(HaveOccurred())
	var names []string
	for _, metric := range figures.Metrics {
		names = append(names, metric.Name)
	}
	g.Expect(names).To(ConsistOf("trail.ready_ratio", "trail.memory_kb"))
}

// What is sent arrives whole, whichever way: the receiver checks each call. How much less it takes is for the benchmark to
// say.
func TestSendingIsMeasured(t *testing.T) {
	g := NewWithT(t)
	figures, err := Run(t.Context(), Short, func(name string) bool { return name == "sending" }, io.Discard)
	g.Expect(err).NotTo(HaveOccurred())
	values := map[string]float64{}
	for _, metric := range figures.Metrics {
		values[metric.Name] = metric.Value
	}
	g.Expect(values).To(HaveLen(5))
	g.Expect(values).To(HaveKey("delivery.plain.cpu_s_per_million"))
	g.Expect(values).To(HaveKey("delivery.gzip.cpu_s_per_million"))
	g.Expect(values["delivery.fill"]).To(BeNumerically(">=", 95))
}

func TestARunSaysWhichScenarioFailed(t *testing.T) {
	g := NewWithT(t)
	failing := Scenario{Name: "broken", InProcess: true, Run: func(_ context.Context, _ *Rig, _ Size, into *report.Report) error {
		into.Add("some.metric", 1, "ms", report.Target{})
		return errors.New("no power")
	}}
	figures, err := runAll(t.Context(), []Scenario{failing}, Short, io.Discard)
	g.Expect(err).To(MatchError(ContainSubstring("broken: no power")))
	g.Expect(figures.Metrics).To(HaveLen(1), "what was measured before stays")
}
