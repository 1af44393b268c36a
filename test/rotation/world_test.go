package rotation

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	patience   = 90 * time.Second
	namespace  = "busy"
	serverName = "trailkeeper-webhook." + testenv.OperatorNamespace + ".svc"
)

// world is a control plane, three replicas and a trail.
type world struct {
	t        *testing.T
	env      *testenv.Env
	operator *testenv.Operator
	admin    client.Client
	trail    *v1alpha1.AuditTrail

	mu sync.Mutex
	// served are the certificates that each replica showed, by its address.
	served map[string]map[string]bool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	g := NewWithT(t)
	w := &world{t: t, trail: trail(), served: map[string]map[string]bool{}}
	w.env = testenv.New(t, testenv.Options{ControllerManager: true})
	g.Expect(w.env.InstallOperator(t.Context())).To(Succeed())
	var err error
	w.admin, err = testenv.NewClient(w.env.Admin())
	g.Expect(err).NotTo(HaveOccurred())
	w.operator, err = w.env.StartOperator(t.Context(), testenv.OperatorOptions{
		Replicas: 3,
		Env:      []string{"AWS_EC2_METADATA_DISABLED=true"},
		Args: []string{
			"--cluster-id=rotation", "--webhook-authority-lifetime=" + authorityLife.String(), "--webhook-certificate-lifetime=" + leafLife.String(),
		},
	})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(w.operator.Close)
	g.Expect(w.admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
	g.Expect(w.admin.Create(t.Context(), w.trail)).To(Succeed())
	g.Expect(testenv.WaitReady(t.Context(), w.admin, w.trail, patience)).To(Succeed())
	g.Eventually(func() (bool, error) {
		return testenv.Probe(t.Context(), w.admin, w.trail, namespace)
	}).WithTimeout(patience).WithPolling(100 * time.Millisecond).Should(BeTrue())
	return w
}

// work is something that is done again and again by several, until it is stopped.
type work struct {
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	done   []string
	failed []error
}

// start has workers do it every so often.
func start(ctx context.Context, workers int, every time.Duration, do func(ctx context.Context, worker int) (string, error)) *work {
	ctx, cancel := context.WithCancel(ctx)
	w := &work{cancel: cancel}
	for worker := range workers {
		w.running.Go(func() {
			ticker := time.NewTicker(every)
			defer ticker.Stop()
			for ctx.Err() == nil {
				name, err := do(context.WithoutCancel(ctx), worker)
				w.note(name, err)
				select {
				case <-ctx.Done():
				case <-ticker.C:
				}
			}
		})
	}
	return w
}

func (w *work) note(name string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.failed = append(w.failed, err)
		return
	}
	w.done = append(w.done, name)
}

func (w *work) stop() {
	w.cancel()
	w.running.Wait()
}

func (w *work) count() int        { return len(w.done) + len(w.failed) }
func (w *work) names() []string   { return w.done }
func (w *work) failures() []error { return w.failed[:min(len(w.failed), 5)] }

// startLoad makes changes. It names them itself: of some thousand names that the API server chooses, two are sometimes the same,
// and what it tried under the first is an event of its own.
func (w *world) startLoad(writers int, every time.Duration) *work {
	var numbers atomic.Int64
	load := start(w.t.Context(), writers, every, func(ctx context.Context, _ int) (string, error) {
		name := fmt.Sprintf("change-%d", numbers.Add(1))
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
		err := w.admin.Create(ctx, object)
		return object.Name, err
	})
	w.t.Cleanup(load.stop)
	return load
}

// startHandshakes connects to each replica as an API server would that has the webhook configuration of this moment.
func (w *world) startHandshakes(every time.Duration) *work {
	addresses := w.operator.WebhookAddresses()
	handshakes := start(w.t.Context(), len(addresses), every, func(ctx context.Context, worker int) (string, error) {
		configuration, err := w.configuration(ctx)
		if err != nil {
			return "", err
		}
		return "", w.shake(ctx, addresses[worker], configuration.Webhooks[0].ClientConfig.CABundle)
	})
	w.t.Cleanup(handshakes.stop)
	return handshakes
}

func (w *world) configuration(ctx context.Context) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	err := w.admin.Get(ctx, client.ObjectKey{Name: "trailkeeper-recorder"}, configuration)
	if err == nil && len(configuration.Webhooks) == 0 {
		err = fmt.Errorf("the webhook configuration is empty")
	}
	return configuration, err
}

func (w *world) shake(ctx context.Context, address string, bundle []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	secure := tls.Client(connection, &tls.Config{RootCAs: roots, ServerName: serverName, MinVersion: tls.VersionTLS13})
	if err := secure.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("at %s: %w", address, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.served[address] == nil {
		w.served[address] = map[string]bool{}
	}
	w.served[address][string(secure.ConnectionState().PeerCertificates[0].Raw)] = true
	return nil
}

// leaves are the certificates that each replica showed.
func (w *world) leaves() map[string]map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.served
}

// inForce is what the webhook configuration was over time.
type inForce struct{ bundles, paths []string }

// watchBundles looks at the webhook configuration for so long.
func (w *world) watchBundles(length time.Duration) inForce {
	var seen inForce
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(length); time.Now().Before(end); <-ticker.C {
		configuration, err := w.configuration(w.t.Context())
		NewWithT(w.t).Expect(err).NotTo(HaveOccurred())
		config := configuration.Webhooks[0].ClientConfig
		if bundle := string(config.CABundle); !slices.Contains(seen.bundles, bundle) {
			seen.bundles = append(seen.bundles, bundle)
		}
		if !slices.Contains(seen.paths, *config.URL) {
			seen.paths = append(seen.paths, *config.URL)
		}
	}
	return seen
}

// events are the changes that the trail has recorded, in pages.
func (w *world) events() []v1alpha1.AuditEvent {
	var all []v1alpha1.AuditEvent
	options := []client.ListOption{client.InNamespace(w.trail.Namespace), client.Limit(500)}
	for {
		var page v1alpha1.AuditEventList
		NewWithT(w.t).Expect(w.admin.List(w.t.Context(), &page, options...)).To(Succeed())
		for _, event := range page.Items {
			if event.Spec.Action == v1alpha1.ActionCreate {
				all = append(all, event)
			}
		}
		if page.Continue == "" {
			return all
		}
		options = []client.ListOption{client.InNamespace(w.trail.Namespace), client.Limit(500), client.Continue(page.Continue)}
	}
}
