package controllers

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/metrics"
)

// retentionRig is a real API server and a reconciler with a clock that can be set ahead.
type retentionRig struct {
	client.Client
	retention *RetentionReconciler
	clock     *testingclock.FakePassiveClock
}

func newRetentionRig(t *testing.T) *retentionRig {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("KUBEBUILDER_ASSETS is not set: run make test")
	}
	g := NewWithT(t)
	env := &envtest.Environment{CRDDirectoryPaths: []string{"../config/crd/bases"}, ErrorIfCRDPathMissing: true}
	config, err := env.Start()
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = env.Stop() })
	config.QPS, config.Burst = -1, -1
	scheme := runtime.NewScheme()
	g.Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	g.Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	c, err := client.New(config, client.Options{Scheme: scheme})
	g.Expect(err).NotTo(HaveOccurred())
	clock := testingclock.NewFakePassiveClock(time.Now())
	return &retentionRig{Client: c, clock: clock, retention: &RetentionReconciler{
		Client: c, Events: c, Clock: clock, Metrics: metrics.Register(prometheus.NewRegistry()),
	}}
}

func (rig *retentionRig) namespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "retention-"}}
	NewWithT(t).Expect(rig.Create(t.Context(), namespace)).To(Succeed())
	return namespace.Name
}

func (rig *retentionRig) trail(t *testing.T, namespace, name string, maxEvents int32) *v1alpha1.AuditTrail {
	t.Helper()
	trail := &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.AuditTrailSpec{
			Type:      v1alpha1.TrailTypeClusterOnly,
			Retention: v1alpha1.RetentionPolicy{MaxEvents: ptr.To(maxEvents)},
		},
	}
	NewWithT(t).Expect(rig.Create(t.Context(), trail)).To(Succeed())
	return trail
}

// record creates n events of a trail, in order of their names when workers is 1.
func (rig *retentionRig) record(t *testing.T, namespace string, trail *v1alpha1.AuditTrail, n, workers int) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(workers)
	for range n {
		name := strings.ToLower(ulid.Make().String())
		group.Go(func() error {
			return rig.Create(t.Context(), &v1alpha1.AuditEvent{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{v1alpha1.TrailLabel: trail.Name}},
				Spec: v1alpha1.AuditEventSpec{
					ID: name, Time: metav1.NowMicro(), Action: v1alpha1.ActionUpdate, Level: v1alpha1.LevelMetadata,
					TrailRef: v1alpha1.TrailReference{Namespace: trail.Namespace, Name: trail.Name, UID: string(trail.UID)},
					Actor:    v1alpha1.Actor{Type: v1alpha1.ActorUser, Username: "ada"},
					Resource: v1alpha1.ResourceReference{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Name: "x"},
					Request:  &v1alpha1.RequestInfo{UID: name},
				},
			})
		})
	}
	NewWithT(t).Expect(group.Wait()).To(Succeed())
}

// deliver moves the trail's cursor to the present.
func (rig *retentionRig) deliver(t *testing.T, trail *v1alpha1.AuditTrail) {
	t.Helper()
	g := NewWithT(t)
	var list v1alpha1.AuditEventList
	g.Expect(rig.List(t.Context(), &list, client.Limit(1))).To(Succeed())
	trail.Status.Delivery = &v1alpha1.DeliveryStatus{ResourceVersion: list.ResourceVersion}
	g.Expect(rig.Status().Update(t.Context(), trail)).To(Succeed())
}

func (rig *retentionRig) reconcile(t *testing.T, trail *v1alpha1.AuditTrail) ctrl.Result {
	t.Helper()
	result, err := rig.retention.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(trail)})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return result
}

func (rig *retentionRig) names(t *testing.T, namespace, uid string) []string {
	t.Helper()
	var list v1alpha1.AuditEventList
	NewWithT(t).Expect(rig.List(t.Context(), &list, client.InNamespace(namespace))).To(Succeed())
	names := []string{}
	for _, event := range list.Items {
		if event.Spec.TrailRef.UID == uid {
			names = append(names, event.Name)
		}
	}
	return names
}

func TestRetention(t *testing.T) {
	rig := newRetentionRig(t)
	start := rig.clock.Now()
	tests := map[string]func(*testing.T, *retentionRig){
		"prunes what is delivered and expired":          testRetentionExpired,
		"prunes the oldest past maxEvents":              testRetentionExcess,
		"prunes many pages":                             testRetentionPages,
		"knows a status write from an undelivered one":  testRetentionStatusWrite,
		"prunes events of an earlier trail of the name": testRetentionRecreated,
		"sweeps events whose trail is gone":             testRetentionSweep,
		"sweeps chunks that nobody delivers":            testSweepsChunks,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rig.clock.SetTime(start)
			test(t, rig)
		})
	}
}

func testRetentionExpired(t *testing.T, rig *retentionRig) {
	t.Helper()
	g := NewWithT(t)
	ns := rig.namespace(t)
	trail := rig.trail(t, ns, "security", 10000)
	rig.record(t, ns, trail, 3, 1)
	rig.deliver(t, trail)
	rig.record(t, ns, trail, 2, 1)
	all := rig.names(t, ns, string(trail.UID))
	g.Expect(all).To(HaveLen(5))

	page, err := rig.retention.listMetadata(t.Context(), client.InNamespace(ns), client.Limit(1))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(page.RemainingItemCount).To(HaveValue(Equal(int64(4))), "the server counts a namespace for nothing")

	result := rig.reconcile(t, trail)
	g.Expect(rig.names(t, ns, string(trail.UID))).To(Equal(all), "none is expired")
	g.Expect(result.RequeueAfter).To(And(BeNumerically(">=", retentionInterval), BeNumerically("<=", retentionInterval*12/10)))

	rig.clock.SetTime(time.Now().Add(25 * time.Hour))
	rig.reconcile(t, trail)
	g.Expect(rig.names(t, ns, string(trail.UID))).To(Equal(all[3:]), "what is not delivered stays")
	rig.deliver(t, trail)
	rig.reconcile(t, trail)
	g.Expect(rig.names(t, ns, string(trail.UID))).To(BeEmpty())
}

func testRetentionExcess(t *testing.T, rig *retentionRig) {
	t.Helper()
	g := NewWithT(t)
	ns := rig.namespace(t)
	trail, other := rig.trail(t, ns, "small", 4), rig.trail(t, ns, "other", 10000)
	namesake := rig.trail(t, rig.namespace(t), "small", 4) // one whose own namespace is terminating
	rig.record(t, ns, namesake, 3, 1)
	rig.deliver(t, namesake)
	rig.record(t, ns, trail, 4, 1)
	rig.record(t, ns, other, 20, 8)
	rig.deliver(t, trail)
	rig.deliver(t, other)
	rig.reconcile(t, trail)
	g.Expect(rig.names(t, ns, string(trail.UID))).To(HaveLen(4), "the other trail's events do not count")

	rig.record(t, ns, trail, 16, 1)
	rig.reconcile(t, trail)
	g.Expect(rig.names(t, ns, string(trail.UID))).To(HaveLen(16), "the last 16 are not delivered")

	rig.deliver(t, trail)
	all := rig.names(t, ns, string(trail.UID))
	rig.reconcile(t, trail)
	g.Expect(rig.names(t, ns, string(trail.UID))).To(Equal(all[12:]), "the newest stay")
	g.Expect(rig.names(t, ns, string(other.UID))).To(HaveLen(20))
	g.Expect(rig.names(t, ns, string(namesake.UID))).To(HaveLen(3))
}

func testRetentionPages(t *testing.T, rig *retentionRig) {
	t.Helper()
	g := NewWithT(t)
	ns := rig.namespace(t)
	trail := rig.trail(t, ns, "busy", 10000)
	rig.record(t, ns, trail, pageSize+2*probeSize, 8)
	rig.deliver(t, trail)
	rig.clock.SetTime(time.Now().Add(25 * time.Hour))
	rig.reconcile(t, trail)
	g.Expect(rig.names(t, ns, string(trail.UID))).To(BeEmpty())
}

func testRetentionStatusWrite(t *testing.T, rig *retentionRig) {
	t.Helper()
	g := NewWithT(t)
	ns := rig.namespace(t)
	trail := rig.trail(t, ns, "security", 10000)
	rig.record(t, ns, trail, 2, 1)
	rig.deliver(t, trail)
	var list v1alpha1.AuditEventList
	g.Expect(rig.List(t.Context(), &list, client.InNamespace(ns))).To(Succeed())
	judged, noted := &list.Items[0], &list.Items[1]
	judged.Status = v1alpha1.AuditEventStatus{Outcome: v1alpha1.OutcomeUnknown, RecordedResourceVersion: judged.ResourceVersion}
	g.Expect(rig.Status().Update(t.Context(), judged)).To(Succeed())
	noted.Annotations = map[string]string{v1alpha1.NoteAnnotation: "planned work"}
	g.Expect(rig.Update(t.Context(), noted)).To(Succeed())

	rig.clock.SetTime(time.Now().Add(25 * time.Hour))
	rig.reconcile(t, trail)
	g.Expect(rig.names(t, ns, string(trail.UID))).To(Equal([]string{noted.Name}), "in doubt it is kept")
}

func testRetentionRecreated(t *testing.T, rig *retentionRig) {
	t.Helper()
	g := NewWithT(t)
	ns := rig.namespace(t)
	old := rig.trail(t, ns, "security", 2)
	rig.record(t, ns, old, 3, 1)
	g.Expect(rig.Delete(t.Context(), old)).To(Succeed())
	trail := rig.trail(t, ns, "security", 2)
	rig.record(t, ns, trail, 2, 1)
	rig.deliver(t, trail)
	rig.reconcile(t, trail)
	g.Expect(rig.names(t, ns, string(trail.UID))).To(HaveLen(2), "the earlier trail's events are not its own")
	g.Expect(rig.names(t, ns, string(old.UID))).To(HaveLen(3), "and are kept for a day")

	rig.clock.SetTime(time.Now().Add(25 * time.Hour))
	rig.reconcile(t, trail)
	g.Expect(rig.names(t, ns, string(old.UID))).To(BeEmpty())
}

func testRetentionSweep(t *testing.T, rig *retentionRig) {
	t.Helper()
	g := NewWithT(t)
	ns, operator := rig.namespace(t), rig.namespace(t)
	gone, alive := rig.trail(t, ns, "gone", 10), rig.trail(t, ns, "alive", 10)
	rig.record(t, ns, gone, 2, 1)
	rig.record(t, operator, gone, 2, 1) // its namespace was terminating
	rig.record(t, operator, alive, 2, 1)
	rig.record(t, ns, alive, 2, 1)
	g.Expect(rig.Delete(t.Context(), gone)).To(Succeed())
	sweep := &orphanSweep{retention: rig.retention}
	g.Expect(sweep.sweep(t.Context())).To(BeZero())

	rig.clock.SetTime(time.Now().Add(25 * time.Hour))
	// Events that the other tests' namespaces hold are of trails that exist.
	g.Expect(sweep.sweep(t.Context())).To(Equal(4))
	g.Expect(rig.names(t, ns, string(gone.UID))).To(BeEmpty())
	g.Expect(rig.names(t, operator, string(gone.UID))).To(BeEmpty())
	g.Expect(rig.names(t, ns, string(alive.UID))).To(HaveLen(2))
	g.Expect(rig.names(t, operator, string(alive.UID))).To(HaveLen(2), "not delivered")
	rig.deliver(t, alive)
	g.Expect(sweep.sweep(t.Context())).To(Equal(2), "delivered strays of a trail that exists")
}
