package controllers_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/event"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/controllers"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

const (
	webhookTestNamespace = "trailkeeper-system"
	webhookTestPatience  = 10 * time.Second
)

// calls is a webhook that admits everything and remembers what it was asked.
type calls struct {
	mu   sync.Mutex
	seen []string
}

// ServeHTTP notes path, operation, resource, namespace, name and user as one line.
func (c *calls) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	req := review.Request
	resource := req.Resource.Resource
	if req.SubResource != "" {
		resource += "/" + req.SubResource
	}
	name := req.Name
	if name == "" {
		var object metav1.PartialObjectMetadata
		raw := req.Object.Raw
		if len(raw) == 0 {
			raw = req.OldObject.Raw
		}
		if err := json.Unmarshal(raw, &object); err == nil {
			name = "(" + object.Name + ")"
		}
	}
	c.mu.Lock()
	c.seen = append(c.seen, strings.Join([]string{r.URL.Path, string(req.Operation), resource, req.Namespace, name, req.UserInfo.Username}, " "))
	c.mu.Unlock()
	review.Response = &admissionv1.AdmissionResponse{UID: req.UID, Allowed: true}
	review.Request = nil
	_ = json.NewEncoder(w).Encode(review)
}

// take returns the lines since the last take.
func (c *calls) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen = nil
	return seen
}

// recording is an API server, the two reconcilers in a manager, and a webhook that they make it call.
type recording struct {
	t        *testing.T
	client   client.Client
	config   *rest.Config
	scheme   *runtime.Scheme
	calls    *calls
	webhooks *controllers.WebhookConfigurationReconciler
	store    *rules.Store
	restored chan string
	// stopping has the reconciler believe that its replica was told to stop, and certificates has it look.
	stopping     *atomic.Bool
	certificates chan<- event.GenericEvent
}

func startRecording(t *testing.T) *recording {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("SKIPPED: KUBEBUILDER_ASSETS names no control plane; make test provides one")
	}
	g := NewWithT(t)
	ctrl.SetLogger(logr.Discard())
	rec := &recording{t: t, calls: &calls{}, scheme: runtime.NewScheme(), store: &rules.Store{}, restored: make(chan string, 16),
		stopping: &atomic.Bool{}}
	g.Expect(clientgoscheme.AddToScheme(rec.scheme)).To(Succeed())
	g.Expect(v1alpha1.AddToScheme(rec.scheme)).To(Succeed())

	env := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("..", "config", "crd", "bases")}, ErrorIfCRDPathMissing: true}
	t.Cleanup(func() { _ = env.Stop() }) // before Start, which leaves the processes when it fails half-way
	config, err := env.Start()
	g.Expect(err).NotTo(HaveOccurred())
	rec.config = config
	rec.client, err = client.New(config, client.Options{Scheme: rec.scheme})
	g.Expect(err).NotTo(HaveOccurred())
	for _, name := range []string{webhookTestNamespace, "prod", "dev"} {
		g.Expect(rec.client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})).To(Succeed())
	}
	rec.startManager(g)
	return rec
}

func (rec *recording) startManager(g *WithT) {
	t := rec.t
	server := httptest.NewTLSServer(rec.calls)
	t.Cleanup(server.Close)
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})

	mgr, err := ctrl.NewManager(rec.config, ctrl.Options{
		Scheme: rec.scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		Cache: cache.Options{ByObject: controllers.CacheByName("trailkeeper-system")},
	})
	g.Expect(err).NotTo(HaveOccurred())
	options := rules.Options{
		OperatorNamespace: webhookTestNamespace, OperatorUsername: rules.ServiceAccountUsername(webhookTestNamespace),
	}
	certificates := make(chan event.GenericEvent, 1)
	rec.certificates = certificates
	var ready atomic.Bool // false until the certificate is there
	rec.webhooks = &controllers.WebhookConfigurationReconciler{
		Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Options: options,
		Endpoint: controllers.URLEndpoint(server.URL),
		CABundle: func() []byte {
			if !ready.Load() {
				return nil
			}
			return bundle
		},
		CertificatesChanged: certificates,
		Stopping:            rec.stopping.Load,
		OnRestored: func(r controllers.Restoration) {
			if !r.LastGood.Before(r.Restored) {
				t.Errorf("restored at %s, before it was last in order at %s", r.Restored, r.LastGood)
			}
			rec.restored <- r.What
		},
	}
	g.Expect(rec.webhooks.SetupWithManager(mgr)).To(Succeed())
	g.Expect((&controllers.RuleSetReconciler{Reader: mgr.GetClient(), Options: options, Store: rec.store}).SetupWithManager(mgr)).To(Succeed())

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("The manager stopped with: %v", err)
		}
	})
	g.Eventually(func() error { return rec.store.Ready(nil) }, webhookTestPatience).Should(Succeed(), "ready although there is no trail")
	ready.Store(true)
	certificates <- event.GenericEvent{Object: &corev1.Secret{}}
}

// as is a client for somebody else, with every right.
func (rec *recording) as(username string, groups ...string) client.Client {
	rec.t.Helper()
	config := rest.CopyConfig(rec.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: username, Groups: append(groups, "system:masters")}
	c, err := client.New(config, client.Options{Scheme: rec.scheme})
	NewWithT(rec.t).Expect(err).NotTo(HaveOccurred())
	return c
}

// trails replaces all trails, and waits until the API server has been told.
func (rec *recording) trails(trails ...*v1alpha1.AuditTrail) {
	rec.t.Helper()
	g, ctx := NewWithT(rec.t), rec.t.Context()
	var old v1alpha1.AuditTrailList
	g.Expect(rec.client.List(ctx, &old)).To(Succeed())
	for i := range old.Items {
		g.Expect(rec.client.Delete(ctx, &old.Items[i])).To(Succeed())
	}
	for _, trail := range trails {
		g.Expect(rec.client.Create(ctx, trail)).To(Succeed())
	}
	g.Eventually(func() bool {
		for _, trail := range trails {
			if !rec.webhooks.Recorded(trail) {
				return false
			}
		}
		set := rec.store.Load()
		return len(set.Trails()) == len(trails)
	}, webhookTestPatience).Should(BeTrue(), "Recorded becomes true for every trail")
}

// marker changes something wanted until the API server calls, for it learns of a configuration a little after it was
// written; then it forgets all calls.
func (rec *recording) marker(wanted func(ctx context.Context) error) {
	rec.t.Helper()
	g := NewWithT(rec.t)
	g.Eventually(func() []string {
		g.Expect(wanted(rec.t.Context())).To(Succeed())
		return rec.calls.take()
	}, webhookTestPatience, 50*time.Millisecond).ShouldNot(BeEmpty())
}

func (rec *recording) configuration() *admissionregistrationv1.ValidatingWebhookConfiguration {
	rec.t.Helper()
	var live admissionregistrationv1.ValidatingWebhookConfiguration
	NewWithT(rec.t).Expect(rec.client.Get(rec.t.Context(), client.ObjectKey{Name: controllers.WebhookConfigurationName}, &live)).To(Succeed())
	return &live
}
