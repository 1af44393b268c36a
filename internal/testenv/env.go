package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// startAttempts is how often Start tries again with other ports when somebody else took one in between.
const startAttempts = 3

// Options say what to start. The zero value is etcd and kube-apiserver with Trailkeeper's CRDs.
type Options struct {
	// Out receives a line for each step. Nil prints nothing.
	Out io.Writer
	// Dir is where everything is kept; it must exist. Empty makes a temporary folder that Stop removes.
	Dir string
	// AuditLog has kube-apiserver log every request: see Env.AuditLog.
	AuditLog bool
	// ControllerManager starts kube-controller-manager too: for garbage collection, the deletion of namespaces, the
	// aggregation of ClusterRoles (without it the built-in role view is empty) and default service accounts.
	ControllerManager bool
	// Scheduler starts kube-scheduler too, which puts pods on nodes that are there and ready.
	Scheduler bool
	// Sync has etcd wait for the disk, as it does in clusters. Benchmarks need it.
	Sync bool
	// WithoutCRDs leaves Trailkeeper's CRDs out.
	WithoutCRDs bool
	// EtcdArgs and APIServerArgs are further arguments of the programs.
	EtcdArgs, APIServerArgs []string
}

// Env is a running control plane. Its methods may be called from one goroutine at a time.
type Env struct {
	// Dir holds its files and the programs' logs.
	Dir string
	// Root is the repository's folder.
	Root string

	options   Options
	assets    string
	authority *authority
	admin     *rest.Config
	host      string
	etcdURL   string
	removeDir bool

	etcd, apiServer, controllerManager, scheduler *process
	// ends are to be done before the programs end.
	ends []func()
}

// New starts a control plane for a test and stops it at the test's end.
func New(tb testing.TB, options Options) *Env {
	tb.Helper()
	env, err := Start(tb.Context(), options)
	if err != nil {
		tb.Fatalf("Cannot start a control plane: %v", err)
	}
	tb.Cleanup(func() {
		if err := env.Stop(); err != nil {
			tb.Errorf("Cannot stop the control plane: %v", err)
		}
	})
	return env
}

// Start starts a control plane and waits until it can be used. The context bounds the start only: Stop ends it.
func Start(ctx context.Context, options Options) (*Env, error) {
	for attempt := 1; ; attempt++ {
		env, err := startOnce(ctx, options)
		if err == nil {
			return env, nil
		}
		if !errors.Is(err, errPortTaken) || attempt == startAttempts {
			return nil, err
		}
	}
}

func startOnce(ctx context.Context, options Options) (*Env, error) {
	env, err := prepare(options)
	if err != nil {
		return nil, err
	}
	if err := env.start(ctx); err != nil {
		return nil, errors.Join(err, env.Stop())
	}
	return env, nil
}

func prepare(options Options) (*Env, error) {
	root, err := RepositoryRoot()
	if err != nil {
		return nil, err
	}
	assets, err := assetsDir(root)
	if err != nil {
		return nil, err
	}
	authority, err := newAuthority()
	if err != nil {
		return nil, err
	}
	env := &Env{Dir: options.Dir, Root: root, options: options, assets: assets, authority: authority}
	if env.Dir == "" {
		env.removeDir = true
		if env.Dir, err = os.MkdirTemp("", "trailkeeper-testenv-"); err != nil {
			return nil, fmt.Errorf("making a folder for the control plane: %w", err)
		}
	}
	return env, nil
}

func (e *Env) start(ctx context.Context) (err error) {
	began := time.Now()
	e.say("Starting etcd and kube-apiserver")
	if e.etcd, err = e.newEtcd(ctx); err != nil {
		return err
	}
	if err := e.etcd.start(ctx); err != nil {
		return err
	}
	if e.apiServer, err = e.newAPIServer(ctx); err != nil {
		return err
	}
	if err := e.apiServer.start(ctx); err != nil {
		return err
	}
	if err := e.waitForNamespaces(ctx); err != nil {
		return err
	}
	if !e.options.WithoutCRDs {
		e.say("Installing the CRDs")
		if err := e.InstallCRDs(ctx); err != nil {
			return err
		}
	}
	if e.options.ControllerManager {
		e.say("Starting kube-controller-manager")
		if e.controllerManager, err = e.newControllerManager(ctx); err != nil {
			return err
		}
		if err := e.controllerManager.start(ctx); err != nil {
			return err
		}
	}
	if e.options.Scheduler {
		e.say("Starting kube-scheduler")
		if e.scheduler, err = e.newScheduler(ctx); err != nil {
			return err
		}
		if err := e.scheduler.start(ctx); err != nil {
			return err
		}
	}
	e.say("The control plane is ready after %.1f s: %s", time.Since(began).Seconds(), e.host)
	return nil
}

// waitForNamespaces waits for the namespaces that the API server makes itself, some time after it says that it is ready.
func (e *Env) waitForNamespaces(ctx context.Context) error {
	clients, err := kubernetes.NewForConfig(e.admin)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem} {
		err := wait.PollUntilContextTimeout(ctx, readyInterval, startTimeout, true, func(ctx context.Context) (bool, error) {
			_, err := clients.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
			return err == nil, nil
		})
		if err != nil {
			return fmt.Errorf("waiting for the namespace %s: %w", name, err)
		}
	}
	return nil
}

// Stop does what was deferred, ends every program, waits for their end, and removes the temporary folder.
func (e *Env) Stop() error {
	for _, end := range slices.Backward(e.ends) {
		end()
	}
	e.ends = nil
	e.StopControllers()
	for _, p := range []*process{e.apiServer, e.etcd} {
		if p != nil {
			p.kill()
		}
	}
	if !e.removeDir {
		return nil
	}
	if err := os.RemoveAll(e.Dir); err != nil {
		return fmt.Errorf("removing the control plane's folder: %w", err)
	}
	return nil
}

// StopAPIServer ends kube-apiserver at once, as a crash would.
func (e *Env) StopAPIServer() { e.apiServer.kill() }

// StartAPIServer starts kube-apiserver again after StopAPIServer, at the same address and with the same users.
func (e *Env) StartAPIServer(ctx context.Context) error { return e.apiServer.start(ctx) }

// StopControllers ends kube-controller-manager and kube-scheduler, where they run: nobody but the test changes anything then.
func (e *Env) StopControllers() {
	for _, p := range []*process{e.scheduler, e.controllerManager} {
		if p != nil {
			p.kill()
		}
	}
}

// StopEtcd ends etcd at once, as a crash would.
func (e *Env) StopEtcd() { e.etcd.kill() }

// StartEtcd starts etcd again after StopEtcd, with the same data.
func (e *Env) StartEtcd(ctx context.Context) error { return e.etcd.start(ctx) }

// Kubectl is the path of the kubectl program that belongs to the control plane.
func (e *Env) Kubectl() string { return filepath.Join(e.assets, "kubectl") }

func (e *Env) file(name string) string { return filepath.Join(e.Dir, name) }

func (e *Env) say(format string, args ...any) {
	if e.options.Out != nil {
		_, _ = fmt.Fprintf(e.options.Out, format+"\n", args...)
	}
}
