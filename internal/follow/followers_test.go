package follow

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/internal/metrics"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// patience is within which a change is told, on a busy machine.
const patience = 20 * time.Second

// env is one control plane for all tests of this package; each uses a namespace of its own.
var env *testenv.Env

func TestMain(m *testing.M) {
	testenv.Main(m, testenv.Options{WithoutCRDs: true}, func(_ context.Context, made *testenv.Env) error {
		env = made
		return nil
	})
}

// counted counts the watches that are open.
type counted struct {
	client.WithWatch
	open, ever atomic.Int32
}

func (c *counted) Watch(ctx context.Context, list client.ObjectList, options ...client.ListOption) (watch.Interface, error) {
	w, err := c.WithWatch.Watch(ctx, list, options...)
	if err == nil {
		c.open.Add(1)
		c.ever.Add(1)
		w = &closing{w, sync.OnceFunc(func() { c.open.Add(-1) })}
	}
	return w, err
}

type closing struct {
	watch.Interface
	closed func()
}

func (c *closing) Stop() {
	c.Interface.Stop()
	c.closed()
}

// rig is a namespace, followers that run as a service account without rights, and what they told.
type rig struct {
	*Followers
	admin     client.Client
	client    *counted
	metrics   *prometheus.Registry
	namespace string

	mu   sync.Mutex
	told map[types.NamespacedName]int
}

var trailA, trailB = types.NamespacedName{Namespace: "shop", Name: "a"}, types.NamespacedName{Namespace: "shop", Name: "b"}

func newRig(t *testing.T) *rig {
	t.Helper()
	g := NewWithT(t)
	r := &rig{told: map[types.NamespacedName]int{}, metrics: prometheus.NewRegistry()}
	var err error
	r.admin, err = client.New(env.Admin(), client.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "follow-"}}
	g.Expect(r.admin.Create(t.Context(), namespace)).To(Succeed())
	r.namespace = namespace.Name
	config, err := env.ServiceAccountConfig(t.Context(), r.namespace, "operator")
	g.Expect(err).NotTo(HaveOccurred())
	watching, err := client.NewWithWatch(config, client.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	r.client = &counted{WithWatch: watching}
	r.Followers = New(Options{
		Client:  r.client,
		Changed: r.changed,
		Metrics: &metrics.Register(r.metrics).Follow,
		pauses:  &pauses{retry: 20 * time.Millisecond, slowest: 200 * time.Millisecond, settle: 10 * time.Millisecond},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Start(ctx) // It never fails.
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		g.Expect(r.client.open.Load()).To(BeZero(), "every watch ends with Start")
	})
	return r
}

func (r *rig) metric(t *testing.T, name, label string) float64 {
	t.Helper()
	value, err := testenv.MetricOf(r.metrics, name, label)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return value
}

func (r *rig) followed(t *testing.T) float64 {
	t.Helper()
	return r.metric(t, "trailkeeper_followed_objects", "")
}

func (r *rig) restarts(t *testing.T, cause metrics.Cause) float64 {
	t.Helper()
	return r.metric(t, "trailkeeper_follow_restarts_total", string(cause))
}

func (r *rig) changed(_ context.Context, trail types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told[trail]++
}

func (r *rig) count(trail types.NamespacedName) func() int {
	return func() int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.told[trail]
	}
}

// allow grants verbs on the Secret aws by its name, as the owner of a namespace does.
func (r *rig) allow(t *testing.T, verbs ...string) {
	t.Helper()
	operator := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: r.namespace, Name: "operator"}
	rights := testenv.Rights(r.namespace, "aws", operator, testenv.Core("secrets", []string{"aws"}, verbs...))
	NewWithT(t).Expect(testenv.Create(t.Context(), r.admin, rights...)).To(Succeed())
}

// secret makes a Secret that the operator may follow.
func (r *rig) secret(t *testing.T, name string) (*corev1.Secret, Object) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: name}}
	NewWithT(t).Expect(r.admin.Create(t.Context(), secret)).To(Succeed())
	return secret, r.object(name)
}

func (r *rig) object(name string) Object {
	return Object{Secret, types.NamespacedName{Namespace: r.namespace, Name: name}}
}

func (r *rig) change(t *testing.T, secret *corev1.Secret) {
	t.Helper()
	secret.StringData = map[string]string{"key": time.Now().String()}
	NewWithT(t).Expect(r.admin.Update(t.Context(), secret)).To(Succeed())
}

func TestEveryChangeIsTold(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	secret, object := r.secret(t, "aws")
	r.allow(t, "get", "list", "watch")
	r.waitAllowed(t)
	r.Follow(t.Context(), trailA, object)
	r.change(t, secret) // Perhaps before the watch is there.
	g.Eventually(r.count(trailA)).WithTimeout(patience).Should(Equal(1))
	r.change(t, secret)
	g.Eventually(r.count(trailA)).WithTimeout(patience).Should(Equal(2))

	g.Expect(r.admin.Delete(t.Context(), secret)).To(Succeed())
	g.Eventually(r.count(trailA)).WithTimeout(patience).Should(Equal(3))
	r.secret(t, "aws")
	g.Eventually(r.count(trailA)).WithTimeout(patience).Should(Equal(4))

	r.secret(t, "another")
	r.Follow(t.Context(), trailA, object)
	g.Consistently(r.count(trailA), 300*time.Millisecond).Should(Equal(4), "only its own object, and only changes")
	g.Expect(r.client.ever.Load()).To(BeEquivalentTo(1))
}

// waitAllowed waits until the operator may list the Secret aws.
func (r *rig) waitAllowed(t *testing.T) {
	t.Helper()
	NewWithT(t).Eventually(func() error {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
		return r.client.List(t.Context(), list, client.InNamespace(r.namespace), client.MatchingFields{"metadata.name": "aws"})
	}).WithTimeout(patience).Should(Succeed())
}

// TestOneWatchForAllTrails: it is shared, and ends with the last trail that refers to the object.
func TestOneWatchForAllTrails(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	secret, object := r.secret(t, "aws")
	r.allow(t, "get", "list", "watch")
	r.waitAllowed(t)
	for _, trail := range []types.NamespacedName{trailA, trailB} {
		r.Follow(t.Context(), trail, object)
	}
	r.change(t, secret)
	for _, trail := range []types.NamespacedName{trailA, trailB} {
		g.Eventually(r.count(trail)).WithTimeout(patience).Should(Equal(1))
	}
	g.Eventually(r.client.open.Load).WithTimeout(patience).Should(BeEquivalentTo(1))

	g.Expect(r.followed(t)).To(BeEquivalentTo(1))
	r.Follow(t.Context(), trailA) // It refers to nothing any more.
	r.change(t, secret)
	g.Eventually(r.count(trailB)).WithTimeout(patience).Should(Equal(2))
	g.Expect(r.count(trailA)()).To(Equal(1))
	g.Expect(r.followed(t)).To(BeEquivalentTo(1))
	r.Forget(trailB)
	g.Expect(r.followed(t)).To(BeZero())
	g.Eventually(r.client.open.Load).WithTimeout(patience).Should(BeZero())
	g.Expect(r.followers).To(BeEmpty())
	g.Expect(r.references).To(BeEmpty())
	g.Expect(r.client.ever.Load()).To(BeEquivalentTo(1))
}

// TestWhereOnlyGetIsGrantedNothingIsTold: not a change, and no flood of requests either; a right that is granted later is
// used, and what was missed until then is told.
func TestWhereOnlyGetIsGrantedNothingIsTold(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	secret, object := r.secret(t, "aws")
	r.allow(t, "get")
	r.Follow(t.Context(), trailA, object)
	r.change(t, secret)
	g.Consistently(r.count(trailA), 500*time.Millisecond).Should(BeZero())
	g.Expect(r.restarts(t, metrics.CauseRefused)).To(And(BeNumerically(">=", 1), BeNumerically("<=", 10)), "refusals are not a flood")

	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: "aws"},
		Rules:      []rbacv1.PolicyRule{testenv.Core("secrets", []string{"aws"}, "get", "list", "watch")},
	}
	g.Expect(r.admin.Update(t.Context(), role)).To(Succeed())
	g.Eventually(r.count(trailA)).WithTimeout(patience).Should(Equal(1))
	g.Expect(r.client.ever.Load()).To(BeNumerically("<=", 2))
}

// TestAnOutageHidesNoChange: what changed while no watch was open is found when the next one begins. It comes last,
// because it ends the API server for a while.
func TestAnOutageHidesNoChange(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	secret, object := r.secret(t, "aws")
	r.allow(t, "get", "list", "watch")
	r.waitAllowed(t)
	r.Follow(t.Context(), trailA, object)
	g.Eventually(r.client.open.Load).WithTimeout(patience).Should(BeEquivalentTo(1))
	env.StopAPIServer()
	g.Expect(env.StartAPIServer(t.Context())).To(Succeed())
	g.Eventually(func() error {
		secret.StringData = map[string]string{"key": "after"}
		return r.admin.Update(t.Context(), secret)
	}).WithTimeout(patience).Should(Succeed())
	g.Eventually(r.count(trailA)).WithTimeout(2 * patience).Should(Equal(1))
	// An API server that has just started may refuse for a moment, because it does not know yet who may do what.
	g.Expect(r.restarts(t, metrics.CauseEnded) + r.restarts(t, metrics.CauseError)).To(BeNumerically(">=", 1))
}
