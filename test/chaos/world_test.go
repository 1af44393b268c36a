package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
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
	// patience is within which the operator recovers: the longest pause between two tries is 45 s.
	patience  = 2 * time.Minute
	namespace = "chaos"
	region    = "eu-west-1"
	group     = "/audit/chaos"
	putAction = "PutLogEvents"
	// single is how many events wait as AuditEvents for a destination that is away; what is beyond it is packed.
	single = 200
)

var user = cloudsim.User{
	Name: "trail", AccessKeyID: "AKIACHAOSCHAOSCHAOSC", SecretAccessKey: "chaos",
	Policy: cloudsim.Allow("logs:DescribeLogGroups", "logs:CreateLogGroup", "logs:CreateLogStream",
		"logs:PutLogEvents", "logs:DeleteLogStream", "logs:DescribeLogStreams"),
}

// world is a control plane with two replicas of the operator, one trail, and somebody who creates ConfigMaps.
type world struct {
	t        *testing.T
	env      *testenv.Env
	operator *testenv.Operator
	aws      *cloudsim.Simulator
	admin    client.Client
	trail    *v1alpha1.AuditTrail
	random   *rand.Rand

	mu sync.Mutex
	// made are the names of the ConfigMaps that the API server said it had created.
	made []string
	next int
	// onPut is called when the simulator has taken a batch, before it says so.
	onPut func()
	// harmed is how many batches a fault was applied to.
	harmed int
	// packed says that events were packed while the destination was away.
	packed bool
	// restamped says that records were sent again with another time, and so came after those that followed them.
	restamped bool
	// kept are records of streams that are deleted by now.
	kept []cloudsim.Event
}

func newWorld(t *testing.T) *world {
	t.Helper()
	g := NewWithT(t)
	w := &world{t: t, random: newRandom(t)}
	w.aws = cloudsim.New(cloudsim.Options{Users: []cloudsim.User{user}, OnCall: w.called})
	url, stop, err := w.aws.Start(t.Context(), "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(stop)
	w.env = testenv.New(t, testenv.Options{})
	g.Expect(w.env.InstallOperator(t.Context())).To(Succeed())
	scheme := runtime.NewScheme()
	g.Expect(errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme))).To(Succeed())
	w.admin, err = client.New(w.env.Admin(), client.Options{Scheme: scheme})
	g.Expect(err).NotTo(HaveOccurred())
	w.operator, err = w.env.StartOperator(t.Context(), testenv.OperatorOptions{
		Replicas: 2,
		Env:      []string{"AWS_ENDPOINT_URL=" + url, "AWS_EC2_METADATA_DISABLED=true"},
		Args: []string{
			"--cluster-id=chaos", "--leader-elect-lease-duration=4s",
			fmt.Sprintf("--backlog-soft-limit=%d", single),
		},
	})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(w.operator.Close)
	t.Cleanup(w.showLogs)
	w.prepare()
	return w
}

// newRandom chooses as TRAILKEEPER_SEED says, or differently each time.
func newRandom(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("TRAILKEEPER_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
	}
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, seed))
}

// prepare makes the trail, and returns when it records.
func (w *world) prepare() {
	w.t.Helper()
	g := NewWithT(w.t)
	object := metav1.ObjectMeta{Namespace: namespace, Name: "operator"}
	w.trail = &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "changes"},
		Spec: v1alpha1.AuditTrailSpec{
			Type: v1alpha1.TrailTypeCloudWatch,
			CloudWatch: &v1alpha1.CloudWatchDestination{Region: region, LogGroupName: group, Auth: v1alpha1.Auth{
				Credentials: &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "aws"}},
			}},
			Recording: v1alpha1.RecordingPolicy{FailurePolicy: v1alpha1.FailurePolicyFail},
			Retention: v1alpha1.RetentionPolicy{MaxEvents: ptr.To[int32](100000)}, // Nothing may be pruned before it was compared.
			Rules: []v1alpha1.Rule{{
				Level: v1alpha1.LevelChanges, Resources: []v1alpha1.GroupResources{{Resources: []string{"configmaps"}}},
				Operations: []v1alpha1.Operation{v1alpha1.OperationCreate},
			}},
		},
	}
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&rbacv1.Role{ObjectMeta: object, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list", "watch"}, ResourceNames: []string{"aws"}},
			{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "list"}},
		}},
		&rbacv1.RoleBinding{
			ObjectMeta: object, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: object.Name},
			Subjects: []rbacv1.Subject{{
				Kind: rbacv1.ServiceAccountKind, Namespace: testenv.OperatorNamespace, Name: testenv.OperatorServiceAccount,
			}},
		},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "aws"}, StringData: map[string]string{
			"AWS_ACCESS_KEY_ID": user.AccessKeyID, "AWS_SECRET_ACCESS_KEY": user.SecretAccessKey,
		}},
		w.trail,
	} {
		g.Expect(w.admin.Create(w.t.Context(), object)).To(Succeed())
	}
	g.Eventually(func(g Gomega) {
		g.Expect(w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(w.trail), w.trail)).To(Succeed())
		g.Expect(meta.IsStatusConditionTrue(w.trail.Status.Conditions, v1alpha1.ReadyCondition)).To(BeTrue(), "%+v", w.trail.Status.Conditions)
	}).WithTimeout(patience).WithPolling(100 * time.Millisecond).Should(Succeed())
	g.Eventually(func(g Gomega) {
		probe := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "probe-"}}
		g.Expect(w.admin.Create(w.t.Context(), probe)).To(Succeed())
		g.Expect(w.events(g)).NotTo(BeEmpty())
	}).WithTimeout(patience).WithPolling(100 * time.Millisecond).Should(Succeed())
}

func (w *world) called(call cloudsim.Call) {
	if call.Action != putAction {
		return
	}
	w.mu.Lock()
	onPut := w.onPut
	if call.Fault != 0 {
		w.harmed++
	}
	w.mu.Unlock()
	if onPut != nil {
		onPut()
	}
}

// batchesHarmed is how many batches a fault was applied to so far.
func (w *world) batchesHarmed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.harmed
}

// setOnPut has something done at each batch; nil for nothing.
func (w *world) setOnPut(onPut func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onPut = onPut
}

// create makes one ConfigMap, and notes it when the API server says that it has it.
func (w *world) create(ctx context.Context, prefix string) error {
	w.mu.Lock()
	w.next++
	name := fmt.Sprintf("%s-%06d", prefix, w.next)
	w.mu.Unlock()
	made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: map[string]string{"key": "value"}}
	if err := w.admin.Create(ctx, made); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made = append(w.made, name)
	return nil
}

// createMany makes ConfigMaps until the context ends, or so many were made. What the API server refuses while it is away is not
// made.
func (w *world) createMany(ctx context.Context, prefix string, count int, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for made := 0; made < count; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if w.create(ctx, prefix) == nil {
			made++
		}
	}
}

// during makes changes while something goes wrong, and some more when it is over.
func (w *world) during(prefix string, wrong func(ctx context.Context) error) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	var group sync.WaitGroup
	group.Go(func() { w.createMany(ctx, prefix, 1<<30, 20*time.Millisecond) })
	err := wrong(ctx)
	cancel()
	group.Wait()
	NewWithT(w.t).Expect(err).NotTo(HaveOccurred())
	w.createMany(w.t.Context(), prefix, 20, 5*time.Millisecond)
}

// showLogs prints the ends of the replicas' logs when a test fails.
func (w *world) showLogs() {
	if !w.t.Failed() {
		return
	}
	for _, path := range w.operator.LogPaths() {
		content, err := os.ReadFile(path)
		lines := strings.Split(string(content), "\n")
		w.t.Logf("%s (%v):\n%s", path, err, strings.Join(lines[max(0, len(lines)-40):], "\n"))
	}
}

func isSoak() bool { return os.Getenv("TRAILKEEPER_SOAK") != "" }

// pick is the short form's value, or the long form's.
func pick[T any](short, long T) T {
	if isSoak() {
		return long
	}
	return short
}

// pause waits, or until the context ends.
func pause(ctx context.Context, while time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(while):
		return nil
	}
}
