package oracle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	// patience is within which the operator and the control plane recover.
	patience = 60 * time.Second
	// users is how many people make changes.
	users = 10
)

// teams are the namespaces in which people work. The first has a trail of its own, and the last a quota.
var teams = []string{"team-0", "team-1", "team-2"}

// world is a control plane with the operator, trails and people.
type world struct {
	t        *testing.T
	env      *testenv.Env
	operator *testenv.Operator
	admin    client.Client
	trails   []*v1alpha1.AuditTrail
	people   []*person
	denier   *denier
	// stopKubelet ends the node's part.
	stopKubelet func()
	// cloud is where the first trail pushes; nil when none does.
	cloud *cloudsim.Simulator
	seed  uint64
	// began is when every trail recorded.
	began time.Time
	// ended is when the events were listed; what the API server does itself goes on.
	ended time.Time
	// gaps are the times of which an Ignore trail may miss changes.
	gaps []window
	// blind are the times in which the API server ended requests without a line in its log.
	blind []window
}

// window is a span of time.
type window struct{ from, to time.Time }

// options say what differs between tests.
type options struct {
	replicas int
	policy   v1alpha1.FailurePolicy
	// durability is Replicated by default.
	durability v1alpha1.Durability
	// cloud has the first trail push to a simulator.
	cloud          bool
	etcdArgs, args []string
}

func newWorld(t *testing.T, o options) *world {
	t.Helper()
	g := NewWithT(t)
	w := &world{t: t, seed: seed(t)}
	w.env = testenv.New(t, testenv.Options{
		AuditLog: true, ControllerManager: true, Scheduler: true, EtcdArgs: o.etcdArgs, Out: testWriter{t},
		APIServerArgs: []string{"--runtime-config=api/all=true"},
	})
	g.Expect(w.env.InstallOperator(t.Context())).To(Succeed())
	w.admin = newClient(t, w.env)
	var err error
	operator := testenv.OperatorOptions{Replicas: o.replicas, Args: append([]string{"--cluster-id=oracle"}, o.args...)}
	if o.cloud {
		operator.Env = w.startCloud()
	}
	w.operator, err = w.env.StartOperator(t.Context(), operator)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(w.operator.Close)
	w.makePlaces()
	w.startKubelet()
	w.applyTrails(v1alpha1.RecordingPolicy{FailurePolicy: o.policy, Durability: o.durability})
	w.people = newPeople(w)
	w.began = time.Now()
	w.denier = startDenier(w)
	t.Cleanup(w.keepOnFailure)
	return w
}

func seed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("TRAILKEEPER_SEED")
	if text == "" {
		return uint64(time.Now().UnixNano())
	}
	parsed, err := strconv.ParseUint(text, 10, 64)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return parsed
}

func newClient(t *testing.T, env *testenv.Env) client.Client {
	t.Helper()
	g := NewWithT(t)
	scheme := runtime.NewScheme()
	g.Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	g.Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	c, err := client.New(env.Admin(), client.Options{Scheme: scheme})
	g.Expect(err).NotTo(HaveOccurred())
	return c
}

// makePlaces makes what people work on: namespaces, a quota, a node, a custom resource that the operator may read.
func (w *world) makePlaces() {
	w.t.Helper()
	g := NewWithT(w.t)
	objects, err := w.env.Render(w.t.Context(), "test/oracle/testdata/widgets.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(w.env.Apply(w.t.Context(), objects...)).To(Succeed())
	for _, team := range teams {
		w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: team}})
	}
	w.create(&corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: teams[len(teams)-1], Name: "quota"},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
			"count/configmaps": resource.MustParse("30"), "pods": resource.MustParse("10"),
		}},
	})
	w.create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}})
	w.create(&rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "people"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "people"}},
	})
}

func (w *world) create(object client.Object) {
	w.t.Helper()
	NewWithT(w.t).Expect(w.admin.Create(w.t.Context(), object)).To(Succeed())
}

// applyTrails makes a trail that records everything, one that does so for one team, and one with the default rules.
func (w *world) applyTrails(policy v1alpha1.RecordingPolicy) {
	w.t.Helper()
	g := NewWithT(w.t)
	for _, trail := range []*v1alpha1.AuditTrail{
		newTrail(testenv.OperatorNamespace, "everything", policy, everything()...),
		newTrail(teams[0], "project", policy, everything()...),
		newTrail(testenv.OperatorNamespace, "default", policy),
	} {
		if w.cloud != nil && len(w.trails) == 0 {
			w.pushToCloud(trail)
		}
		w.create(trail)
		w.trails = append(w.trails, trail)
	}
	for _, trail := range w.trails {
		g.Eventually(func(g Gomega) {
			g.Expect(w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(trail), trail)).To(Succeed())
			g.Expect(meta.IsStatusConditionTrue(trail.Status.Conditions, v1alpha1.ReadyCondition)).To(BeTrue(), "%+v", trail.Status.Conditions)
		}).WithTimeout(patience).WithPolling(100 * time.Millisecond).Should(Succeed())
	}
	// The API server acts on the webhook configuration a moment after it was written.
	g.Eventually(func() int {
		w.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: teams[0], GenerateName: "probe-"}})
		var list v1alpha1.AuditEventList
		g.Expect(w.admin.List(w.t.Context(), &list, client.InNamespace(teams[0]))).To(Succeed())
		return len(list.Items)
	}).WithTimeout(patience).WithPolling(100 * time.Millisecond).Should(BeNumerically(">", 0))
}

func newTrail(namespace, name string, policy v1alpha1.RecordingPolicy, rules ...v1alpha1.Rule) *v1alpha1.AuditTrail {
	return &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.AuditTrailSpec{
			Type: v1alpha1.TrailTypeClusterOnly, Rules: rules,
			Recording: policy,
			// Nothing may be pruned before it was compared.
			Retention: v1alpha1.RetentionPolicy{MaxEvents: ptr.To[int32](100000)},
		},
	}
}

// everything is rules that leave out heartbeats, the API's own bookkeeping and questions only.
func everything() []v1alpha1.Rule {
	return []v1alpha1.Rule{
		{Level: v1alpha1.LevelNone, Resources: []v1alpha1.GroupResources{
			{Group: "coordination.k8s.io", Resources: []string{"leases"}},
			{Resources: []string{"events"}},
			{Group: "events.k8s.io", Resources: []string{"events"}},
			{Group: "authentication.k8s.io", Resources: []string{"*/*"}},
			{Group: "authorization.k8s.io", Resources: []string{"*/*"}},
			{Group: v1alpha1.GroupVersion.Group, Resources: []string{"*/*"}},
		}},
		{Level: v1alpha1.LevelChanges, Resources: []v1alpha1.GroupResources{{Group: "*", Resources: []string{"*/*"}}}},
	}
}

// restartAPIServer ends the API server as a crash does, and starts it again.
func (w *world) restartAPIServer(ctx context.Context) error {
	began := time.Now()
	w.env.StopAPIServer()
	err := w.env.StartAPIServer(ctx)
	w.blind = append(w.blind, window{began.Add(-5 * time.Second), time.Now()})
	return err
}

// keepOnFailure leaves the logs and the events where somebody can look at them.
func (w *world) keepOnFailure() {
	if !w.t.Failed() {
		return
	}
	dir, err := os.MkdirTemp("", "trailkeeper-oracle-")
	if err != nil {
		w.t.Logf("cannot keep anything: %v", err)
		return
	}
	paths := append(w.operator.LogPaths(), filepath.Join(w.env.Dir, "audit.log"), filepath.Join(w.env.Dir, "kube-apiserver.log"))
	for _, path := range paths {
		content, err := os.ReadFile(path)
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, filepath.Base(path)), content, 0o600))
		if err != nil {
			w.t.Logf("cannot keep %s: %v", path, err)
		}
	}
	var events v1alpha1.AuditEventList
	_ = w.admin.List(context.WithoutCancel(w.t.Context()), &events)
	encoded, err := json.MarshalIndent(events.Items, "", " ")
	if err = errors.Join(err, os.WriteFile(filepath.Join(dir, "events.json"), encoded, 0o600)); err != nil {
		w.t.Logf("cannot keep the events: %v", err)
	}
	w.t.Logf("seed %d; the logs are in %s", w.seed, dir)
}

// testWriter prints progress into the test's log.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func isSoak() bool { return os.Getenv("TRAILKEEPER_SOAK") != "" }

// say prints at once, so that a long run shows how far it is.
func (w *world) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s %s: %s\n", time.Now().Format("15:04:05"), w.t.Name(), fmt.Sprintf(format, args...))
}
