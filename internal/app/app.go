package app

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/controllers"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/awsauth"
	"github.com/trailkeeper/trailkeeper/internal/certs"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/delivery"
	"github.com/trailkeeper/trailkeeper/internal/digestkey"
	"github.com/trailkeeper/trailkeeper/internal/metrics"
	"github.com/trailkeeper/trailkeeper/internal/presence"
	"github.com/trailkeeper/trailkeeper/internal/recorder"
	"github.com/trailkeeper/trailkeeper/internal/rules"
	"github.com/trailkeeper/trailkeeper/internal/spill"
	"github.com/trailkeeper/trailkeeper/internal/uninstall"
)

const (
	// leaderLease is the Lease that the leader holds.
	leaderLease = "trailkeeper-leader"
	// webhookService is the Service through which the API server reaches the recorders.
	webhookService = "trailkeeper-webhook"
	// replayWriters is how many events of the local file are written at once.
	replayWriters = 8
	// flushTimeout bounds the writing of the local file when the operator stops.
	flushTimeout = 5 * time.Second
)

// operator is the parts of the operator that others are made from.
type operator struct {
	options Options
	// mgr runs what every replica does.
	mgr manager.Manager
	clients
	digester  audit.Digester
	clusterID string
	rules     *rules.Store
	ruleSet   rules.Options
	certs     *certs.Rotator
	callers   certs.Callers
	dialer    *dialer
	spill     *spill.Store
	metrics   *metrics.Metrics
	clock     clock.WithTicker

	auth          *awsauth.Authenticator
	opener        *cloudwatch.Opener
	delivery      *delivery.Delivery
	configuration *controllers.WebhookConfigurationReconciler
	attempts      *controllers.AttemptConfigurationReconciler
	replayer      *spill.Replayer
	recorder      *recorder.Recorder
	notices       *recorder.Notices
	announcer     *recorder.Announcer
	presence      *presence.Presence
	attendance    attendance
	// asked is when delivery asked first who was there before this replica.
	asked func() time.Time
	// stopping is true once the operator was told to stop.
	stopping atomic.Bool
}

// What the recorder writes.
// +kubebuilder:rbac:groups=audit.trailkeeper.dev,resources=auditevents,verbs=create

// Leader election; RBAC cannot limit create to a name.
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=create,namespace=trailkeeper-system
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=get;update,resourceNames=trailkeeper-leader,namespace=trailkeeper-system
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Run runs the operator until the context ends.
func Run(ctx context.Context, config *rest.Config, options Options) error {
	limitGarbage()
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&options.zap)))
	// At level 8 client-go writes whole requests and answers to the logger of the context: Secrets, tokens, and values that
	// trails have redacted.
	klog.EnableContextualLogging(false)
	store, err := spill.Open(options.SpillDir, spill.Options{
		MaxBytes: options.SpillMaxBytes, Parallel: replayWriters, Log: ctrl.Log,
	})
	if err != nil {
		return err
	}
	defer func() {
		if err := store.Close(); err != nil {
			ctrl.Log.Error(err, "Closing the local file failed")
		}
	}()
	o, err := newOperator(ctx, config, options, store)
	if err != nil {
		return err
	}
	for _, add := range []func() error{o.addCertificates, o.addRecorder, o.addDelivery, o.addQuery, o.addLeadership, o.addProbes} {
		if err := add(); err != nil {
			return err
		}
	}
	return o.serve(ctx)
}

// Uninstall stops the operator that runs in the cluster, and says on standard output what it does. Of the options only the
// namespace matters.
func Uninstall(ctx context.Context, config *rest.Config, options Options) error {
	return uninstall.Run(ctx, config, options.Namespace, os.Stdout)
}

// addLeadership makes this replica lead when it can.
func (o *operator) addLeadership() error { return o.add(leadership{o}) }

func newOperator(ctx context.Context, config *rest.Config, options Options, store *spill.Store) (*operator, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // The API server's own priority and fairness limits clients better than they do themselves.
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	clients, err := newClients(config, scheme)
	if err != nil {
		return nil, err
	}
	key, err := digestkey.Load(ctx, clients.direct, options.Namespace)
	if err != nil {
		return nil, err
	}
	clusterID, err := clusterIDOf(ctx, clients.direct, options.ClusterID)
	if err != nil {
		return nil, err
	}
	username, err := usernameOf(ctx, clients.direct)
	if err != nil {
		return nil, err
	}
	o := &operator{
		options:   options,
		clients:   clients,
		digester:  audit.NewDigester(key),
		clusterID: clusterID,
		rules:     &rules.Store{},
		ruleSet:   rules.Options{OperatorNamespace: options.Namespace, OperatorUsername: username},
		spill:     store,
		metrics:   metrics.Register(ctrlmetrics.Registry),
		clock:     clock.RealClock{},
		asked:     sync.OnceValue(clock.RealClock{}.Now),
	}
	o.certs, err = certs.NewRotator(clients.direct, certs.Options{
		Namespace: options.Namespace, Service: webhookService, APIService: apiService, URL: options.WebhookURL, Clock: o.clock,
		Lifetimes: certs.Lifetimes{Authority: options.AuthorityLifetime, Serving: options.CertificateLifetime},
	})
	if err != nil {
		return nil, err
	}
	if o.callers, err = certs.ReadCallers(options.ClientCAFile, options.ClientName); err != nil {
		return nil, err
	}
	o.dialer = o.newDialer()
	o.metrics.FollowCertificates(o.certs.Expiry)
	o.metrics.Spill.Follow(func() (int, int64) { return store.Len(), store.Bytes() })
	if store.Damaged() != "" {
		o.metrics.Spill.Damaged()
	}
	o.mgr, err = o.newManager(config, scheme)
	return o, err
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("registering kinds: %w", err)
		}
	}
	return scheme, nil
}

func (o *operator) newManager(config *rest.Config, scheme *runtime.Scheme) (manager.Manager, error) {
	options := o.options
	server, err := webhookServer(options, o.certs.GetCertificate, o.callers)
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(config, manager.Options{
		Scheme:                 scheme,
		Cache:                  cacheOptions(options.Namespace),
		Client:                 clientOptions(),
		WebhookServer:          server,
		Metrics:                metricsserver.Options{BindAddress: options.MetricsBindAddress},
		HealthProbeBindAddress: options.HealthProbeBindAddress,
		PprofBindAddress:       options.PprofBindAddress,
	})
	if err != nil {
		return nil, fmt.Errorf("making the manager: %w", err)
	}
	return mgr, nil
}

func cacheOptions(namespace string) cache.Options {
	return cache.Options{ByObject: controllers.CacheByName(namespace)}
}

// clientOptions have single Secrets and all events read from the API server: a cache would hold every one of them.
func clientOptions() client.Options {
	return client.Options{Cache: &client.CacheOptions{
		DisableFor: []client.Object{&corev1.Secret{}, &v1alpha1.AuditEvent{}},
	}}
}

// clusterIDOf is the cluster's name: as configured, or the uid of the namespace kube-system, which every cluster has
// and keeps.
func clusterIDOf(ctx context.Context, c client.Client, configured string) (string, error) {
	if configured != "" {
		return configured, nil
	}
	var namespace corev1.Namespace
	if err := c.Get(ctx, client.ObjectKey{Name: "kube-system"}, &namespace); err != nil {
		return "", fmt.Errorf("finding the cluster's id (or give --cluster-id): %w", err)
	}
	return string(namespace.UID), nil
}

// usernameOf is who the API server takes the operator for: what it writes itself is not recorded.
func usernameOf(ctx context.Context, c client.Client) (string, error) {
	review := &authenticationv1.SelfSubjectReview{}
	if err := c.Create(ctx, review); err != nil {
		return "", fmt.Errorf("asking the API server who the operator is: %w", err)
	}
	return review.Status.UserInfo.Username, nil
}

// addProbes makes the replica ready when it can answer the API server: trails are compiled and the certificate is
// there.
func (o *operator) addProbes() error {
	for name, check := range map[string]healthz.Checker{
		"stopping":    o.notStopping,
		"rules":       o.rules.Ready,
		"certificate": o.certs.Ready,
		"webhook":     o.mgr.GetWebhookServer().StartedChecker(),
		"dial":        o.dialer.ready,
	} {
		if err := o.mgr.AddReadyzCheck(name, check); err != nil {
			return fmt.Errorf("adding the readiness check %s: %w", name, err)
		}
	}
	for _, runnable := range []manager.Runnable{o.dialer, everywhere(o.answer)} {
		if err := o.add(runnable); err != nil {
			return err
		}
	}
	if err := o.mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("adding the health check: %w", err)
	}
	return nil
}
