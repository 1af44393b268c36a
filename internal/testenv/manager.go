package testenv

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"syscall"

	"k8s.io/client-go/rest"
)

// BuildManager builds the operator into the environment's folder and returns its path.
func (e *Env) BuildManager(ctx context.Context) (string, error) {
	path := e.file("manager")
	//nolint:gosec // The package is this repository's own.
	build := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", path, "./cmd/manager")
	build.Dir = e.Root
	// As `make build` does, so that nothing is compiled twice.
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the manager: %w: %s", err, output)
	}
	return path, nil
}

// NewManager builds the operator, and says how to run it: as its own service account, at an address that is free.
// InstallOperator must have been called.
func (e *Env) NewManager(ctx context.Context, name string) (ManagerOptions, error) {
	path, err := e.BuildManager(ctx)
	if err != nil {
		return ManagerOptions{}, err
	}
	config, err := e.ServiceAccountConfig(ctx, OperatorNamespace, OperatorServiceAccount)
	if err != nil {
		return ManagerOptions{}, err
	}
	kubeconfig, err := e.WriteKubeconfig(config, "operator")
	if err != nil {
		return ManagerOptions{}, err
	}
	ports, err := FreePorts(ctx, 1)
	if err != nil {
		return ManagerOptions{}, err
	}
	address := loopback + ":" + ports[0]
	return ManagerOptions{
		Name: name, Path: path, Kubeconfig: kubeconfig, Identity: config,
		WebhookURL: "https://" + address, WebhookBind: address,
	}, nil
}

// ManagerOptions say how to run the operator outside of the cluster.
type ManagerOptions struct {
	// Name tells replicas apart, in files and logs.
	Name string
	// Path is the operator's program.
	Path string
	// Kubeconfig is the file of its own service account, and Identity what it holds.
	Kubeconfig string
	Identity   *rest.Config
	// WebhookURL is where the API server reaches it, and WebhookBind where it listens; when empty, the same.
	WebhookURL, WebhookBind string
	// Env are further variables, such as AWS_ENDPOINT_URL.
	Env []string
	// Args are further flags.
	Args []string
}

// Manager is a running operator.
type Manager struct {
	process *process
	// ProbeURL and MetricsURL are its own end points.
	ProbeURL, MetricsURL string
	// APIURL is where it answers questions and serves the console, with the certificate of its webhook.
	APIURL string
}

// StartManager runs the operator until it is ready.
func (e *Env) StartManager(ctx context.Context, options ManagerOptions) (*Manager, error) {
	ports, err := FreePorts(ctx, 3)
	if err != nil {
		return nil, err
	}
	probe, metrics, api := "127.0.0.1:"+ports[0], "127.0.0.1:"+ports[1], "127.0.0.1:"+ports[2]
	args := slices.Concat([]string{
		"--kubeconfig=" + options.Kubeconfig,
		"--namespace=" + OperatorNamespace,
		"--webhook-url=" + options.WebhookURL,
		"--webhook-bind-address=" + options.WebhookBind,
		"--spill-dir=" + spillDir(e, options.Name),
		"--health-probe-bind-address=" + probe,
		"--metrics-bind-address=" + metrics,
		"--api-bind-address=" + api,
	}, options.Args)
	p := &process{
		path:    options.Path,
		args:    args,
		env:     append(os.Environ(), options.Env...),
		logPath: e.file("manager-" + options.Name + ".log"),
		ready:   func(ctx context.Context) error { return getOK(ctx, "http://"+probe+"/readyz") },
	}
	m := &Manager{process: p, ProbeURL: "http://" + probe, MetricsURL: "http://" + metrics + "/metrics", APIURL: "https://" + api}
	if err := p.start(ctx); err != nil {
		p.kill()
		return nil, err
	}
	return m, nil
}

// Kill ends the operator at once, as kill -9 does.
func (m *Manager) Kill() { m.process.kill() }

// Stop asks the operator to end, as a kubelet does, and waits for it.
func (m *Manager) Stop() {
	m.Terminate()
	m.Wait()
}

// Wait waits for the operator's end.
func (m *Manager) Wait() { <-m.process.done }

// Terminate asks the operator to end, as a kubelet does.
func (m *Manager) Terminate() {
	if m.process.cmd.Process != nil {
		_ = m.process.cmd.Process.Signal(syscall.SIGTERM) // An error means that it has ended already.
	}
}

// Pause stops the operator in its tracks, as a node that is out of memory or a live migration does, until Resume.
func (m *Manager) Pause() error { return m.process.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume lets a paused operator go on as if nothing had happened.
func (m *Manager) Resume() error { return m.process.cmd.Process.Signal(syscall.SIGCONT) }

// PID is the operator's process id.
func (m *Manager) PID() int { return m.process.cmd.Process.Pid }

// LogPath is the file with the operator's log.
func (m *Manager) LogPath() string { return m.process.logPath }

func getOK(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, response.Status)
	}
	return nil
}
