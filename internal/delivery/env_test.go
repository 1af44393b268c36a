package delivery

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/awsauth"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/metrics"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// patience is within which delivery does what a test waits for, on a busy machine.
const patience = 30 * time.Second

// env is one control plane for all tests of this package; each uses a namespace of its own.
var env *testenv.Env

func TestMain(m *testing.M) {
	testenv.Main(m, testenv.Options{}, func(ctx context.Context, made *testenv.Env) error {
		env = made
		return makeOperatorNamespace(ctx)
	})
}

// makeOperatorNamespace makes the place of chunks.
func makeOperatorNamespace(ctx context.Context) error {
	c, err := client.New(env.Admin(), client.Options{})
	if err != nil {
		return err
	}
	return c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}})
}

// rig is a namespace of the real API server, and a simulator of CloudWatch Logs.
type rig struct {
	client.Client
	sim       *cloudsim.Simulator
	server    *httptest.Server
	endpoint  atomic.Pointer[cloudsim.Simulator] // what answers at the address
	namespace string
	rest      rest.Interface
	opener    *cloudwatch.Opener
	auth      *awsauth.Authenticator
}

var alice = cloudsim.User{
	Name: "alice", AccessKeyID: "AKIAALICE00000000000", SecretAccessKey: "alices-secret", Policy: cloudsim.Allow("logs:*"),
}

// stranger has keys of another account.
var stranger = cloudsim.User{
	AccountID: "222222222222", Name: "stranger", AccessKeyID: "AKIASTRANGER00000000", SecretAccessKey: "strangers-secret",
	Policy: cloudsim.Allow("logs:*"),
}

// auditRole may be assumed by alice, and by service accounts that are called pusher.
var auditRole = cloudsim.Role{Name: "audit", Policy: cloudsim.Allow("logs:*"), Trust: cloudsim.Trust{
	Principals: []string{"arn:aws:iam::123456789012:user/alice"}, Subjects: []string{"system:serviceaccount:*:pusher"},
}}

func newSimulator() *cloudsim.Simulator {
	return cloudsim.New(cloudsim.Options{Users: []cloudsim.User{alice, stranger}, Roles: []cloudsim.Role{auditRole}})
}

func newRig(t *testing.T) *rig {
	t.Helper()
	g := NewWithT(t)
	r := &rig{sim: newSimulator()}
	r.endpoint.Store(r.sim)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.endpoint.Load().ServeHTTP(w, request)
	}))
	t.Cleanup(server.Close)
	r.server = server
	t.Setenv("AWS_ENDPOINT_URL", server.URL)

	config := env.Admin()
	config.QPS, config.Burst = -1, -1
	var err error
	r.Client, err = testenv.NewClient(config)
	g.Expect(err).NotTo(HaveOccurred())
	config.GroupVersion = &v1alpha1.GroupVersion
	config.NegotiatedSerializer = clientgoscheme.Codecs.WithoutConversion()
	r.rest, err = rest.UnversionedRESTClientFor(config)
	g.Expect(err).NotTo(HaveOccurred())

	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "delivery-"}}
	g.Expect(r.Create(t.Context(), namespace)).To(Succeed())
	r.namespace = namespace.Name
	g.Expect(r.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: "aws"},
		StringData: map[string]string{"AWS_ACCESS_KEY_ID": alice.AccessKeyID, "AWS_SECRET_ACCESS_KEY": alice.SecretAccessKey},
	})).To(Succeed())
	r.auth = awsauth.New(awsauth.Options{Reader: r.Client, Grants: r.Client, Tokens: r.Client, OperatorNamespace: operatorNamespace, ClusterID: "test"})
	r.opener = cloudwatch.NewOpener(r.auth, "test")
	r.opener.Compress = true
	return r
}

// Trail makes a trail, and its stream if it pushes.
func (r *rig) trail(t *testing.T, change ...func(*v1alpha1.AuditTrail)) *v1alpha1.AuditTrail {
	t.Helper()
	g := NewWithT(t)
	trail := newTrail(r.namespace, "security")
	trail.UID = ""
	for _, apply := range change {
		apply(trail)
	}
	g.Expect(r.Create(t.Context(), trail)).To(Succeed())
	if trail.Spec.CloudWatch != nil {
		stream, err := r.opener.Open(t.Context(), trail)
		g.Expect(err).NotTo(HaveOccurred())
		_, err = stream.Ensure(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
	}
	return trail
}

// record stores count events from number first on, with many writers as recorders are, and returns their names in the
// order in which the API server stored them.
func (r *rig) record(t *testing.T, trail *v1alpha1.AuditTrail, first, count int) []string {
	t.Helper()
	return r.recordAs(t, trail, first, count, func(*v1alpha1.AuditEvent) {})
}

// recordAs has the events be as complete makes them.
func (r *rig) recordAs(t *testing.T, trail *v1alpha1.AuditTrail, first, count int, complete func(*v1alpha1.AuditEvent)) []string {
	t.Helper()
	g := NewWithT(t)
	const writers = 16
	events := make([]*v1alpha1.AuditEvent, count)
	var group errgroup.Group
	group.SetLimit(writers)
	for i := range events {
		events[i] = newEvent(trail, eventName(first+i), time.Now().Add(-time.Minute))
		complete(events[i])
		group.Go(func() error { return r.Create(t.Context(), events[i]) })
	}
	g.Expect(group.Wait()).To(Succeed())
	return inOrderOfRecording(t, events)
}

func inOrderOfRecording(t *testing.T, events []*v1alpha1.AuditEvent) []string {
	t.Helper()
	byVersion := make(map[uint64]string, len(events))
	for _, event := range events {
		version, err := apijson.ParseVersion(event.ResourceVersion)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		byVersion[version] = event.Name
	}
	return sortedByVersion(byVersion)
}

// leader is a replica that delivers.
type leader struct {
	*Delivery
	stop func()
	// dead makes its writes fail, as those of a process that was killed never arrive.
	dead *atomic.Bool
}

// lead starts a replica. It stops at the test's end.
func (r *rig) lead(t *testing.T, change ...func(*Options)) *leader {
	t.Helper()
	options := Options{
		Namespace: operatorNamespace, REST: r.rest, Reader: r.Client,
		Open: func(ctx context.Context, trail *v1alpha1.AuditTrail) (Sink, error) {
			return r.opener.Open(ctx, trail)
		},
		Forget:             r.auth.Forget,
		Metrics:            &metrics.Register(prometheus.NewRegistry()).Delivery,
		Digester:           audit.NewDigester([]byte("key")),
		DeletesAreRecorded: func(types.NamespacedName, *v1alpha1.ResourceReference) bool { return true },
		Clock:              clock.RealClock{},
		Settle:             50 * time.Millisecond,
		Linger:             20 * time.Millisecond,
		CommitEvery:        100 * time.Millisecond,
	}
	l := &leader{dead: &atomic.Bool{}}
	options.Client = mortal{r.Client, l.dead}
	for _, apply := range change {
		apply(&options)
	}
	l.Delivery = New(options)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Hold(ctx, 0)
	}()
	l.stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(l.stop)
	return l
}

// kill ends a replica without giving it the time to write its cursor.
func (l *leader) kill() {
	l.dead.Store(true)
	l.stop()
}

// serve has the replica deliver a trail as the API server shows it now.
func (r *rig) serve(t *testing.T, l *leader, trail *v1alpha1.AuditTrail) {
	t.Helper()
	NewWithT(t).Eventually(func() bool { return l.Holds(trail.UID) }, patience, 10*time.Millisecond).Should(BeTrue())
	NewWithT(t).Expect(l.Serve(t.Context(), r.read(t, trail))).To(Succeed())
}

func (r *rig) read(t *testing.T, trail *v1alpha1.AuditTrail) *v1alpha1.AuditTrail {
	t.Helper()
	fresh := &v1alpha1.AuditTrail{}
	NewWithT(t).Expect(r.Get(t.Context(), client.ObjectKeyFromObject(trail), fresh)).To(Succeed())
	return fresh
}

// messages are what the trail's stream holds, in the order of arrival.
func (r *rig) messages(trail *v1alpha1.AuditTrail) []string {
	to := trail.Spec.CloudWatch
	var messages []string
	for _, event := range r.sim.Events(to.Region, to.LogGroupName, to.LogStreamName) {
		messages = append(messages, event.Message)
	}
	return messages
}

// arrived checks the chain of what the stream holds from a head on, and returns the distinct records.
func (r *rig) arrived(g Gomega, trail *v1alpha1.AuditTrail, from ledger.Head) (links []ledger.Link, repeated int) {
	for _, message := range r.messages(trail) {
		link, err := ledger.ReadLink([]byte(message))
		g.Expect(err).NotTo(HaveOccurred())
		links = append(links, link)
	}
	distinct, repeated, err := ledger.Check(from, links)
	g.Expect(err).NotTo(HaveOccurred())
	return distinct, repeated
}

// expect waits until the whole chain of the trail has exactly these events in this order, and returns how many records
// came more than once.
func (r *rig) expect(t *testing.T, trail *v1alpha1.AuditTrail, names []string) (repeated int) {
	t.Helper()
	g := NewWithT(t)
	var links []ledger.Link
	g.Eventually(func(g Gomega) {
		links, repeated = r.arrived(g, trail, ledger.Genesis(string(trail.UID)))
		g.Expect(len(links)).To(BeNumerically(">=", len(names)))
	}, patience, 20*time.Millisecond).Should(Succeed())
	g.Expect(linkNames(t, links)).To(Equal(names))
	return repeated
}

// mortal is a client that writes no status any more once it is dead.
type mortal struct {
	client.Client
	dead *atomic.Bool
}

var errDead = errors.New("the process is dead")

func (m mortal) Status() client.SubResourceWriter {
	return mortalStatus{m.Client.Status(), m.dead}
}

type mortalStatus struct {
	client.SubResourceWriter
	dead *atomic.Bool
}

func (m mortalStatus) Apply(ctx context.Context, o runtime.ApplyConfiguration, options ...client.SubResourceApplyOption) error {
	if m.dead.Load() {
		return errDead
	}
	return m.SubResourceWriter.Apply(ctx, o, options...)
}

// destroy deletes the trail's stream, or everything: then the same address answers for an account that is empty.
func (r *rig) destroy(t *testing.T, trail *v1alpha1.AuditTrail, everything bool) {
	t.Helper()
	if everything {
		r.sim = newSimulator()
		r.endpoint.Store(r.sim)
		return
	}
	g := NewWithT(t)
	stream, err := r.opener.Open(t.Context(), trail)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(stream.Delete(t.Context())).To(Succeed())
}
