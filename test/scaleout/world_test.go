package scaleout

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	// patience is within which the operator recovers on a busy machine.
	patience = 90 * time.Second
	replicas = 3
	shards   = 8
	lease    = 6 * time.Second
	region   = "eu-west-1"
	group    = "/audit/scaleout"
)

var own = cloudsim.User{
	Name: "operator", AccessKeyID: "AKIAOPERATOR00000000", SecretAccessKey: "operators-own/secret+access-key-0001",
	Policy: cloudsim.Allow("logs:*"),
}

// world is a control plane, replicas of the operator, and trails that record the ConfigMaps of a namespace each.
type world struct {
	t        *testing.T
	env      *testenv.Env
	operator *testenv.Operator
	aws      *cloudsim.Simulator
	admin    client.Client
	trails   []*v1alpha1.AuditTrail

	mu sync.Mutex
	// made are the objects that were made in each namespace.
	made map[string][]string
	// refused is how many the API server refused, because nobody recorded them.
	refused int
	// before are the records that a trail's stream had when a trail was made again under its name.
	before map[string]int
	// again says that events may have been delivered again under new numbers.
	again bool
}

func newWorld(t *testing.T, trails int) *world {
	t.Helper()
	g := NewWithT(t)
	w := &world{t: t, aws: cloudsim.New(cloudsim.Options{Users: []cloudsim.User{own}}), made: map[string][]string{}, before: map[string]int{}}
	server := httptest.NewServer(w.aws)
	t.Cleanup(server.Close)
	w.env = testenv.New(t, testenv.Options{ControllerManager: true})
	g.Expect(w.env.InstallOperator(t.Context())).To(Succeed())
	var err error
	w.admin, err = testenv.NewClient(w.env.Admin())
	g.Expect(err).NotTo(HaveOccurred())
	w.operator, err = w.env.StartOperator(t.Context(), testenv.OperatorOptions{
		Replicas: replicas,
		Env:      testenv.AWSEnv(server.URL, own.AccessKeyID, own.SecretAccessKey),
		Args: []string{
			"--cluster-id=scaleout", "--drain-delay=2s", "--leader-elect-lease-duration=" + lease.String(), fmt.Sprintf("--delivery-shards=%d", shards),
		},
	})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(w.operator.Close)
	t.Cleanup(w.keepOnFailure)
	for n := range trails {
		w.applyTrail(n)
	}
	for _, trail := range w.trails {
		w.expectReady(trail)
	}
	return w
}

// applyTrail makes a namespace and the trail that records its ConfigMaps, and refuses what it cannot record.
func (w *world) applyTrail(n int) {
	w.t.Helper()
	g := NewWithT(w.t)
	namespace := fmt.Sprintf("team-%d", n)
	g.Expect(w.admin.Create(w.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
	trail := newTrail(namespace)
	g.Expect(w.admin.Create(w.t.Context(), trail)).To(Succeed())
	w.trails = append(w.trails, trail)
}

func newTrail(namespace string) *v1alpha1.AuditTrail {
	return &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: testenv.OperatorNamespace, Name: namespace},
		Spec: v1alpha1.AuditTrailSpec{
			Type: v1alpha1.TrailTypeCloudWatch,
			CloudWatch: &v1alpha1.CloudWatchDestination{
				Region: region, LogGroupName: group, Auth: v1alpha1.Auth{Ambient: &v1alpha1.Ambient{}},
			},
			Recording: v1alpha1.RecordingPolicy{FailurePolicy: v1alpha1.FailurePolicyFail},
			Rules: []v1alpha1.Rule{{
				Level: v1alpha1.LevelChanges, Namespaces: []string{namespace},
				Resources: []v1alpha1.GroupResources{{Resources: []string{"configmaps"}}},
			}},
		},
	}
}

func (w *world) expectReady(trail *v1alpha1.AuditTrail) {
	w.t.Helper()
	NewWithT(w.t).Eventually(func(g Gomega) {
		g.Expect(w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(trail), trail)).To(Succeed())
		g.Expect(meta.IsStatusConditionTrue(trail.Status.Conditions, v1alpha1.ReadyCondition)).To(BeTrue(), "%+v", trail.Status.Conditions)
	}).WithTimeout(patience).WithPolling(100 * time.Millisecond).Should(Succeed())
}

// change makes a ConfigMap in the n-th trail's namespace. The API server refuses it when nobody can record it.
func (w *world) change(ctx context.Context, n int) {
	namespace := fmt.Sprintf("team-%d", n%len(w.trails))
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "change-"}}
	err := w.admin.Create(ctx, object)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.refused++
		return
	}
	w.made[namespace] = append(w.made[namespace], object.Name)
}

// work makes changes in all namespaces in turn until stop is called.
func (w *world) work(writers int, every time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	for writer := range writers {
		running.Go(func() {
			ticker := time.NewTicker(every)
			defer ticker.Stop()
			for n := writer; ctx.Err() == nil; n += writers {
				w.change(context.WithoutCancel(ctx), n)
				select {
				case <-ctx.Done():
				case <-ticker.C:
				}
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	w.t.Cleanup(stop)
	return stop
}

// expectLedgers waits until every change has arrived, and checks each trail's chain. It returns how many records came more
// than once.
func (w *world) expectLedgers() (repeated int) {
	w.t.Helper()
	total := 0
	for _, trail := range w.trails {
		NewWithT(w.t).Eventually(func(g Gomega) {
			names, twice := w.delivered(g, trail)
			w.mu.Lock()
			made := w.made[trail.Name]
			w.mu.Unlock()
			var missing []string
			for _, name := range made {
				if names[name] == 0 {
					missing = append(missing, name)
				}
			}
			g.Expect(missing).To(BeEmpty(), "%s: of %d", trail.Name, len(made))
			for name, events := range names {
				if w.again {
					break
				}
				g.Expect(events).To(Equal(1), "%s %s has several events", trail.Name, name)
			}
			repeated, total = repeated+twice, total+len(made)
		}).WithTimeout(patience).WithPolling(200 * time.Millisecond).Should(Succeed())
	}
	w.t.Logf("%d changes in %d ledgers, lost 0, out of order 0, repeated and identical %d; refused while a replica was away %d",
		total, len(w.trails), repeated, w.refused)
	return repeated
}

// delivered are the objects in a trail's records, with how many events each has. The chain is whole.
func (w *world) delivered(g Gomega, trail *v1alpha1.AuditTrail) (names map[string]int, repeated int) {
	var links []ledger.Link
	for _, event := range w.aws.Events(region, group, trail.Status.LogStreamName)[w.before[trail.Name]:] {
		link, err := ledger.ReadLink([]byte(event.Message))
		g.Expect(err).NotTo(HaveOccurred())
		links = append(links, link)
	}
	distinct, repeated, err := ledger.Check(ledger.Genesis(string(trail.UID)), links)
	g.Expect(err).NotTo(HaveOccurred())
	names = map[string]int{}
	for i := range distinct {
		var event struct{ Spec v1alpha1.AuditEventSpec }
		g.Expect(json.Unmarshal(distinct[i].Event, &event)).To(Succeed())
		if event.Spec.Action == v1alpha1.ActionCreate {
			names[event.Spec.Resource.Name]++
		}
	}
	return names, repeated
}

// held are how many shards each replica delivers, -1 for one that does not answer.
func (w *world) held() []int {
	held := make([]int, replicas)
	for i := range held {
		ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Second)
		value, err := w.operator.Replica(i).Metric(ctx, "trailkeeper_delivery_shards")
		cancel()
		held[i] = int(value)
		if err != nil {
			held[i] = -1
		}
	}
	return held
}

// expectShares waits until the replicas hold so many shards, in any order.
func (w *world) expectShares(want ...any) {
	w.t.Helper()
	NewWithT(w.t).Eventually(w.held).WithTimeout(patience).WithPolling(200 * time.Millisecond).Should(ConsistOf(want...))
}

// keepOnFailure leaves the logs where somebody can look at them.
func (w *world) keepOnFailure() {
	if !w.t.Failed() {
		return
	}
	for _, path := range w.operator.LogPaths() {
		content, err := os.ReadFile(path)
		if err != nil {
			w.t.Logf("cannot read %s: %v", path, err)
			continue
		}
		kept, err := os.CreateTemp("", "trailkeeper-scaleout-*.log")
		if err == nil {
			_, err = kept.Write(content)
			_ = kept.Close()
			w.t.Logf("the log of a replica is %s", kept.Name())
		}
		if err != nil {
			w.t.Logf("cannot keep a log: %v", err)
		}
	}
}
