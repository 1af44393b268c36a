package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// errPortTaken is what start returns when another program got the port first.
var errPortTaken = errors.New("the port was taken")

const (
	startTimeout  = 90 * time.Second
	readyInterval = 100 * time.Millisecond
	logTailBytes  = 2000
)

// process is one program of the control plane. It can be killed and started again with the same arguments.
type process struct {
	path string
	args []string
	// env is the environment; nil for this process's own.
	env     []string
	logPath string
	// ready returns nil once the program answers.
	ready func(context.Context) error

	cmd *exec.Cmd
	// done is closed once the program has ended; nil while it was never started.
	done chan struct{}
}

// start runs the program and waits until it is ready.
func (p *process) start(ctx context.Context) error {
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", p.name(), err)
	}
	//nolint:gosec,noctx // The program is the control plane's own, and outlives the context that bounds its start.
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = p.env
	p.cmd.SysProcAttr = endWithParent()

	started := make(chan error)
	p.done = make(chan struct{})
	go p.run(log, started, p.done)
	if err := <-started; err != nil {
		return fmt.Errorf("starting %s: %w", p.name(), err)
	}
	return p.waitReady(ctx)
}

// run owns the program from its start to its end. The thread stays locked because Linux ends the program together with
// the thread that started it (see endWithParent), and Go may end an idle thread.
func (p *process) run(log io.Closer, started chan<- error, done chan<- struct{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(done)
	defer func() { _ = log.Close() }()
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait() // It ends by a signal, which is not an error; what went wrong before is in its log.
	}
}

func (p *process) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var last error
	err := wait.PollUntilContextCancel(ctx, readyInterval, true, func(ctx context.Context) (bool, error) {
		select {
		case <-p.done:
			return false, errors.New("it ended")
		default:
		}
		last = p.ready(ctx)
		return last == nil, nil
	})
	if err == nil {
		return nil
	}
	tail := p.logTail()
	if bytes.Contains(tail, []byte("address already in use")) {
		return fmt.Errorf("starting %s: %w", p.name(), errPortTaken)
	}
	return fmt.Errorf("waiting for %s to be ready: %w; its last answer: %w; the end of its log:\n%s", p.name(), err, last, tail)
}

// kill ends the program at once and waits for its end. Nothing that it holds needs an orderly end.
func (p *process) kill() {
	if p.done == nil {
		return
	}
	if p.cmd.Process != nil {
		_ = p.cmd.Process.Kill() // An error means that it has ended already.
	}
	<-p.done
}

func (p *process) name() string { return filepath.Base(p.path) }

func (p *process) logTail() []byte {
	content, err := os.ReadFile(p.logPath)
	if err != nil {
		return []byte(err.Error())
	}
	return content[max(0, len(content)-logTailBytes):]
}
