package plugin_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cli"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	live     = "live"
	region   = "eu-west-1"
	logGroup = "/audit/plugin"
)

// person has AWS credentials, the same for the operator and who reads.
var person = cloudsim.User{
	Name: "person", AccessKeyID: "AKIAPERSON0000000000", SecretAccessKey: "persons-secret", Policy: cloudsim.Allow("logs:*"),
}

// world is an operator that delivers to a simulated AWS account.
type world struct {
	client.Client
	sim        *cloudsim.Simulator
	url        string
	trail      *v1alpha1.AuditTrail
	kubeconfig string
	programs   string
}

// testLive runs the operator: what the plugin says while it works, and what it proves about what was delivered.
func testLive(t *testing.T) {
	w, operator := startWorld(t)
	t.Run("doctor finds nothing", w.doctorFindsNothing)
	t.Run("watch", w.watch)
	t.Run("in a terminal", w.inATerminal)
	t.Run("completion", w.completes)
	t.Run("a note is recorded", w.noteIsRecorded)
	w.settle(t)
	operator.Stop() // The last checkpoint is written then.
	t.Run("doctor finds the silence", w.doctorFindsTheSilence)
	t.Run("verify", w.verify)
	t.Run("older events", w.olderEvents)
}

func startWorld(t *testing.T) (*world, *testenv.Manager) {
	t.Helper()
	g := NewWithT(t)
	w := &world{sim: cloudsim.New(cloudsim.Options{Users: []cloudsim.User{person}}), kubeconfig: adminKubeconfig(t)}
	var stop func()
	var err error
	w.url, stop, err = w.sim.Start(context.WithoutCancel(t.Context()), "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(stop)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": w.url, "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_PROFILE": "", "AWS_SESSION_TOKEN": "",
		"AWS_ACCESS_KEY_ID": person.AccessKeyID, "AWS_SECRET_ACCESS_KEY": person.SecretAccessKey,
	} {
		t.Setenv(name, value)
	}
	w.Client, err = testenv.NewClient(env.Admin())
	g.Expect(err).NotTo(HaveOccurred())
	options, err := env.NewManager(t.Context(), "live")
	g.Expect(err).NotTo(HaveOccurred())
	operator, err := env.StartManager(t.Context(), options)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(operator.Kill)
	w.makeTrail(t)
	return w, operator
}

func (w *world) makeTrail(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	secret := testenv.Core("secrets", []string{"aws"}, "get", "watch", "list")
	w.trail = &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: live, Name: "changes"},
		Spec: v1alpha1.AuditTrailSpec{Type: v1alpha1.TrailTypeCloudWatch, CloudWatch: &v1alpha1.CloudWatchDestination{
			Region: region, LogGroupName: logGroup, RetentionInDays: new(int32(365)),
			Auth: v1alpha1.Auth{Credentials: &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "aws"}}},
		}},
	}
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: live}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: live, Name: "aws"}, StringData: map[string]string{
			"AWS_ACCESS_KEY_ID": person.AccessKeyID, "AWS_SECRET_ACCESS_KEY": person.SecretAccessKey,
		}},
	}
	objects = append(objects, testenv.Rights(live, "aws", testenv.OperatorSubject(), secret)...)
	g.Expect(testenv.Create(t.Context(), w, append(objects, w.trail)...)).To(Succeed())
	g.Expect(testenv.WaitReady(t.Context(), w, w.trail, patience)).To(Succeed())
	g.Eventually(func() (bool, error) { return testenv.Probe(t.Context(), w, w.trail, live) }, patience, 200*time.Millisecond).Should(BeTrue())
}

// change makes a ConfigMap.
func (w *world) change(t *testing.T, name string) {
	t.Helper()
	made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: live, Name: name}}
	NewWithT(t).Expect(w.Create(t.Context(), made)).To(Succeed())
}

// settle waits until all that was recorded is delivered.
func (w *world) settle(t *testing.T) {
	t.Helper()
	for n := range 12 {
		w.change(t, fmt.Sprintf("change-%d", n))
	}
	g := NewWithT(t)
	g.Eventually(func(g Gomega) {
		var events v1alpha1.AuditEventList
		g.Expect(w.List(t.Context(), &events, client.InNamespace(live))).To(Succeed())
		g.Expect(w.Get(t.Context(), client.ObjectKeyFromObject(w.trail), w.trail)).To(Succeed())
		g.Expect(w.trail.Status.Delivery).To(HaveField("Delivered", BeEquivalentTo(len(events.Items))))
	}, patience, 200*time.Millisecond).Should(Succeed())
}

// run runs the plugin by the real clock.
func (w *world) run(t *testing.T, args ...string) answer {
	t.Helper()
	return pluginIn(t, cli.Terminal{Clock: clock.RealClock{}}, w.kubeconfig, args...)
}

func (w *world) doctorFindsNothing(t *testing.T) {
	g := NewWithT(t)
	var got answer
	g.Eventually(func() string { // The scene's trails are new to the operator.
		got = w.run(t, "doctor", "-n", live)
		return got.out
	}, patience, time.Second).ShouldNot(ContainSubstring("WebhookPending"))
	g.Expect(got.code).To(BeZero(), got.out)
	for _, line := range []string{
		"OK    API ", "OK    You ", "WARN  Replicas    one replica records", "OK    RBAC ", "OK    Policies ", "OK    Priority ", "OK    Webhook ",
		"OK    Authority ", "OK    Recorder    the recorder answers at ", "OK    Trail       live/changes is ready",
	} {
		g.Expect(got.out).To(ContainSubstring(line))
	}
}

func (w *world) doctorFindsTheSilence(t *testing.T) {
	g := NewWithT(t)
	var got answer
	g.Eventually(func() string {
		got = w.run(t, "doctor", "-n", live)
		return got.out
	}, patience, time.Second).Should(ContainSubstring("FAIL  Replicas    no replica records"))
	g.Expect(got.code).To(Equal(cli.ExitWrong))
	g.Expect(got.out).To(MatchRegexp(`FAIL  Recorder    the recorder at .* cannot be reached from here`))
	g.Expect(got.out).To(ContainSubstring("→ make sure that the operator runs"))
}

func (w *world) noteIsRecorded(t *testing.T) {
	g := NewWithT(t)
	w.change(t, "explained")
	found := w.run(t, "events", "-n", live, "--name", "explained", "-o", "json")
	name := between(found.out, `"name": "01`, `"`)
	got := w.run(t, "note", live+"/01"+name, "because of INC-7")
	g.Expect(got.code).To(BeZero(), got.err)
	g.Expect(w.run(t, "events", "-n", live, "--kind", "AuditEvent", "-o", "wide").out).To(ContainSubstring("because of INC-7"))
}

func between(text, from, to string) string {
	_, text, _ = strings.Cut(text, from)
	text, _, _ = strings.Cut(text, to)
	return text
}

// stream is an output that grows while it is read.
type stream struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *stream) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// watch sees what happened before it began, and what happens then, each once.
func (w *world) watch(t *testing.T) {
	g := NewWithT(t)
	w.change(t, "before")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out stream
	done := make(chan int)
	go func() {
		done <- cli.Run(ctx, cli.Terminal{Out: &out, Err: io.Discard, Clock: clock.RealClock{}},
			[]string{"events", "-n", live, "--watch", "--kind", "configmap", "--kubeconfig=" + w.kubeconfig, "--cache-dir=" + t.TempDir()})
	}()
	g.Eventually(out.String, patience).Should(ContainSubstring("live/before"))
	w.change(t, "during")
	g.Eventually(out.String, patience).Should(ContainSubstring("live/during"))
	refusedByQuota := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: live, Name: "before"}}
	g.Expect(w.Create(t.Context(), refusedByQuota)).NotTo(Succeed())
	stop()
	g.Expect(<-done).To(BeZero())
	g.Expect(strings.Count(out.String(), "live/before ")).To(BeNumerically(">=", 1))
	g.Expect(strings.Count(out.String(), "live/during ")).To(Equal(1), out.String())
}
