package upgrade

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	// patience is within which replicas start and take over on a busy machine.
	patience = 2 * time.Minute
	polling  = 200 * time.Millisecond
	region   = "eu-west-1"
	logGroup = "/audit/upgrade"
	replicas = 2
)

var identity = cloudsim.User{
	Name: "operator", AccessKeyID: "AKIAUPGRADE000000001", SecretAccessKey: "an-upgrade-test/secret+access-key-000001",
	Policy: cloudsim.Allow("logs:*"),
}

// world is a control plane with replicas of the operator, and a trail that refuses what cannot be recorded.
type world struct {
	t        *testing.T
	env      *testenv.Env
	admin    client.Client
	aws      *cloudsim.Simulator
	operator *testenv.Operator
	trail    *v1alpha1.AuditTrail

	mu      sync.Mutex
	made    map[string]string
	refused []error
}

func TestUpgradeAndDowngradeUnderLoad(t *testing.T) {
	if os.Getenv("TRAILKEEPER_SOAK") == "" {
		t.Skip("compiles another version of the operator: part of `make soak`")
	}
	root, err := testenv.RepositoryRoot()
	g := NewWithT(t)
	g.Expect(err).NotTo(HaveOccurred())
	old, commit := buildOld(t, root)
	w := newWorld(t, old)
	current, err := w.env.BuildManager(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	stop := w.work()
	for _, step := range []struct{ name, path string }{{"upgrade", current}, {"downgrade", old}, {"upgrade again", current}} {
		began := time.Now()
		for replica := range replicas {
			before := w.count()
			g.Expect(w.operator.Replace(t.Context(), replica, step.path)).To(Succeed(), step.name)
			g.Eventually(w.count).WithTimeout(patience).WithPolling(polling).Should(BeNumerically(">", before+10))
		}
		t.Logf("%s from or to %.8s: %.0f s", step.name, commit, time.Since(began).Seconds())
	}
	stop()
	g.Expect(w.refused).To(BeEmpty())
	g.Expect(len(w.made)).To(BeNumerically(">", 60))
	w.expectRecorded()
}

func newWorld(t *testing.T, program string) *world {
	t.Helper()
	g, ctx := NewWithT(t), t.Context()
	w := &world{t: t, aws: cloudsim.New(cloudsim.Options{Users: []cloudsim.User{identity}}), made: map[string]string{}}
	server := httptest.NewServer(w.aws)
	t.Cleanup(server.Close)
	w.env = testenv.New(t, testenv.Options{ControllerManager: true})
	g.Expect(w.env.InstallOperator(ctx)).To(Succeed())
	var err error
	w.admin, err = testenv.NewClient(w.env.Admin())
	g.Expect(err).NotTo(HaveOccurred())
	w.operator, err = w.env.StartOperator(ctx, testenv.OperatorOptions{
		Replicas: replicas, Path: program,
		Args: []string{"--cluster-id=upgrade", "--leader-elect-lease-duration=6s"},
		Env:  testenv.AWSEnv(server.URL, identity.AccessKeyID, identity.SecretAccessKey),
	})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(w.operator.Close)
	w.trail = &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: testenv.OperatorNamespace, Name: "upgrade"},
		Spec: v1alpha1.AuditTrailSpec{
			Type: v1alpha1.TrailTypeCloudWatch,
			CloudWatch: &v1alpha1.CloudWatchDestination{
				Region: region, LogGroupName: logGroup, Auth: v1alpha1.Auth{Ambient: &v1alpha1.Ambient{}},
			},
			Rules: []v1alpha1.Rule{{
				Level: v1alpha1.LevelChanges, Resources: []v1alpha1.GroupResources{{Resources: []string{"configmaps"}}},
				Namespaces: []string{metav1.NamespaceDefault},
			}},
			Recording: v1alpha1.RecordingPolicy{FailurePolicy: v1alpha1.FailurePolicyFail},
		},
	}
	g.Expect(w.admin.Create(ctx, w.trail)).To(Succeed())
	g.Expect(testenv.WaitReady(ctx, w.admin, w.trail, patience)).To(Succeed())
	g.Eventually(func() (bool, error) {
		return testenv.Probe(ctx, w.admin, w.trail, metav1.NamespaceDefault)
	}).WithTimeout(patience).WithPolling(polling).Should(BeTrue())
	return w
}

// work makes changes until it is stopped.
func (w *world) work() (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		for number := 0; ctx.Err() == nil; number++ {
			w.change(context.WithoutCancel(ctx), fmt.Sprintf("load-%05d", number))
			pause, end := context.WithTimeout(ctx, 30*time.Millisecond)
			<-pause.Done()
			end()
		}
	})
	w.t.Cleanup(func() { cancel(); group.Wait() })
	return func() { cancel(); group.Wait() }
}

func (w *world) change(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name}}
	err := w.admin.Create(ctx, object)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.refused = append(w.refused, err)
		return
	}
	w.made[string(object.UID)] = name
}

func (w *world) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.made)
}

// expectRecorded expects one event for each change that was made, all of them delivered, in one unbroken chain.
func (w *world) expectRecorded() {
	w.t.Helper()
	g, ctx := NewWithT(w.t), w.t.Context()
	var events v1alpha1.AuditEventList
	g.Expect(w.admin.List(ctx, &events, client.InNamespace(w.trail.Namespace))).To(Succeed())
	wanted := map[string]string{} // The events' ids, by name of the object.
	for i := range events.Items {
		spec := &events.Items[i].Spec
		if name, ok := w.made[spec.Resource.UID]; ok {
			g.Expect(wanted).NotTo(HaveKey(name), "two events of one change")
			wanted[name] = spec.ID
		}
	}
	for _, name := range w.made {
		g.Expect(wanted).To(HaveKey(name))
	}
	delivered := map[string]bool{}
	g.Eventually(func(g Gomega) {
		g.Expect(w.admin.Get(ctx, client.ObjectKeyFromObject(w.trail), w.trail)).To(Succeed())
		g.Expect(w.trail.Status.Delivery).NotTo(BeNil())
		g.Expect(w.trail.Status.Delivery.Pending).To(BeZero())
		var links []ledger.Link
		for _, event := range w.aws.Events(region, logGroup, w.trail.Status.LogStreamName) {
			link, err := ledger.ReadLink([]byte(event.Message))
			g.Expect(err).NotTo(HaveOccurred())
			links = append(links, link)
		}
		distinct, repeated, err := ledger.Check(ledger.Genesis(string(w.trail.UID)), links)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(repeated).To(BeZero(), "what ends in good order leaves nothing to repeat")
		for i := range distinct {
			delivered[distinct[i].ID] = true
		}
		for name, id := range wanted {
			g.Expect(delivered[id]).To(BeTrue(), name)
		}
	}).WithTimeout(patience).WithPolling(polling).Should(Succeed())
}
