package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	// leadingStopTimeout is how long what a leader does may take to end.
	leadingStopTimeout = 12 * time.Second
	// leadAgainAfter is how long a replica waits after it led, or could not.
	leadAgainAfter = 2 * time.Second
)

// leadership runs a leader whenever this replica holds the lease. It is not the manager's own leader election, which
// ends the process when the lease is lost. That happens when the API server or etcd take no writes for some seconds, and
// then above all this replica must go on recording.
type leadership struct{ *operator }

// NeedLeaderElection is false: it is what elects.
func (leadership) NeedLeaderElection() bool { return false }

// Start leads whenever it can, until the context ends.
func (l leadership) Start(ctx context.Context) error {
	for ctx.Err() == nil {
		var err error
		if l.options.LeaderElect {
			err = l.serveTerm(ctx)
		} else {
			err = l.lead(ctx)
		}
		if err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "Leading ended, will try again")
		}
		wait(ctx, leadAgainAfter)
	}
	return nil
}

// serveTerm waits for the lease, and leads until it is lost or the context ends. The lease is given back when everything
// that leading started has ended.
func (l leadership) serveTerm(ctx context.Context) error {
	lock, err := l.lock()
	if err != nil {
		return err
	}
	term := newTerm(ctx)
	defer term.resign()
	lease := l.options.LeaseDuration
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, Name: leaderLease, ReleaseOnCancel: true,
		LeaseDuration: lease, RenewDeadline: lease * 2 / 3, RetryPeriod: lease / 8,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(held context.Context) { term.serve(ctx, held, l.lead) },
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("preparing the election of a leader: %w", err)
	}
	elector.Run(term.context) //nolint:contextcheck // The term outlives the context that ends it, to give the lease back last.
	return term.end()
}

func (l leadership) lock() (resourcelock.Interface, error) {
	lock, err := l.newLocks()
	if err != nil {
		return nil, err
	}
	return lock(leaderLease), nil
}

// newLocks makes locks of which this replica is the holder by a name of its own, which no other process ever had.
func (o *operator) newLocks() (lock func(name string) resourcelock.Interface, err error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("finding this replica's name: %w", err)
	}
	client, err := coordinationv1.NewForConfig(o.mgr.GetConfig())
	if err != nil {
		return nil, fmt.Errorf("making a client for the lease: %w", err)
	}
	identity := host + "_" + rand.Text()
	return func(name string) resourcelock.Interface {
		return &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: o.options.Namespace, Name: name},
			Client:     client,
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		}
	}, nil
}

// term is one time of holding the lease.
type term struct {
	// context ends the holding of the lease; it outlives what leading starts.
	context context.Context //nolint:containedctx // It is what a term is.
	resign  context.CancelFunc

	mu      sync.Mutex
	over    bool
	serving chan struct{}
	err     error
}

func newTerm(ctx context.Context) *term {
	t := &term{}
	t.context, t.resign = context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.serving == nil {
			t.resign()
		}
	})
	return t
}

// serve leads until the lease is lost or ctx ends, and then gives the lease back.
func (t *term) serve(ctx, held context.Context, lead func(context.Context) error) {
	t.mu.Lock()
	if t.over {
		t.mu.Unlock()
		return
	}
	t.serving = make(chan struct{})
	t.mu.Unlock()
	defer close(t.serving)
	defer t.resign()
	leading, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(held, stop)()
	t.err = lead(leading)
}

// end waits for what serve does, now that the lease is not held any more.
func (t *term) end() error {
	t.mu.Lock()
	t.over = true
	serving := t.serving
	t.mu.Unlock()
	if serving == nil {
		return nil
	}
	<-serving
	return t.err
}

// leader is what only one replica does: it writes configuration, verifies and prunes. It is made anew for each
// term, because controllers do not start twice.
type leader struct {
	*operator
	// mgr runs it, beside the operator's own.
	mgr manager.Manager
}

// lead runs a leader until the context ends.
func (o *operator) lead(ctx context.Context) error {
	mgr, err := ctrl.NewManager(o.mgr.GetConfig(), manager.Options{
		Scheme:                  o.mgr.GetScheme(),
		Cache:                   cacheOptions(o.options.Namespace),
		Client:                  clientOptions(),
		Logger:                  o.mgr.GetLogger(),
		Metrics:                 metricsserver.Options{BindAddress: "0"}, // They are the process's, and served already.
		HealthProbeBindAddress:  "0",
		GracefulShutdownTimeout: ptr.To(leadingStopTimeout),
		Controller:              config.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		return fmt.Errorf("making the leader's manager: %w", err)
	}
	l := &leader{operator: o, mgr: mgr}
	for _, add := range []func() error{l.addConfiguration, l.addObserver, l.addTrails} {
		if err := add(); err != nil {
			return err
		}
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("leading: %w", err)
	}
	return nil
}

func (o *leader) add(runnable manager.Runnable) error { return addTo(o.mgr, runnable) }

// add adds a part that runs on every replica.
func (o *operator) add(runnable manager.Runnable) error {
	if elected, ok := runnable.(manager.LeaderElectionRunnable); !ok || elected.NeedLeaderElection() {
		return errors.New("a part that does not say that it runs on every replica must be added to the leader")
	}
	return addTo(o.mgr, runnable)
}

// everywhere is a function that runs on every replica.
type everywhere func(context.Context) error

// Start runs the function.
func (e everywhere) Start(ctx context.Context) error { return e(ctx) }

// NeedLeaderElection is false.
func (everywhere) NeedLeaderElection() bool { return false }

func addTo(mgr manager.Manager, runnable manager.Runnable) error {
	if err := mgr.Add(runnable); err != nil {
		return fmt.Errorf("adding a part to the manager: %w", err)
	}
	return nil
}
