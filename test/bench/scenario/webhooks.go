package scenario

import (
	"bufio"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
)

// webhooks are what the benchmark's program can be, by its first argument: webhooks that run in a process of their own,
// so that what they use can be told from what the load uses. Each takes further arguments, and returns its handler and how to end it.
var webhooks = map[string]func(args []string) (_ http.Handler, end func(), err error){
	NoopCommand:       func([]string) (http.Handler, func(), error) { return http.HandlerFunc(admit), func() {}, nil },
	FloorCommand:      newFloor,
	LocalFloorCommand: newLocalFloor,
	BaselineCommand:   newBaseline,
	LocalCommand:      newLocal,
	ReceiverCommand:   newReceiver,
	WatcherCommand:    newWatcher,
}

// IsWebhook says whether the program's first argument makes it a webhook.
func IsWebhook(command string) bool { return webhooks[command] != nil }

// webhookAddress is the one line that a webhook prints: where it is reached, and the certificate to trust, if any.
type webhookAddress struct {
	URL string
	CA  []byte
}

// ServeWebhook serves until in ends, which is when the process that started it ends.
func ServeWebhook(command string, args []string, in io.Reader, out io.Writer) error {
	handler, end, err := webhooks[command](args)
	if err != nil {
		return err
	}
	defer end()
	server := httptest.NewUnstartedServer(handler)
	defer server.Close()
	var ca []byte
	if command == ReceiverCommand || command == WatcherCommand {
		server.Start()
	} else {
		server.EnableHTTP2 = true
		server.StartTLS()
		ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	}
	if err := json.NewEncoder(out).Encode(webhookAddress{URL: server.URL, CA: ca}); err != nil {
		return fmt.Errorf("saying where the webhook is: %w", err)
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// webhook is one that runs.
type webhook struct {
	at  webhookAddress
	pid int
}

// startWebhook runs one until the Rig is closed.
func (r *Rig) startWebhook(ctx context.Context, name string, args ...string) (*webhook, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	//nolint:gosec,noctx // It is this program itself, and ends with its input.
	command := exec.Command(program, append([]string{name}, args...)...)
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the %s: %w", name, err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the %s: %w", name, err)
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("starting the %s: %w", name, err)
	}
	r.closers = append(r.closers, func() {
		_ = input.Close()
		if err := command.Wait(); err != nil {
			r.say("The %s did not end well: %v", name, err)
		}
	})
	line, err := bufio.NewReader(output).ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("reading where the %s is: %w", name, errors.Join(err, ctx.Err()))
	}
	started := &webhook{pid: command.Process.Pid}
	if err := json.Unmarshal(line, &started.at); err != nil {
		return nil, fmt.Errorf("reading where the %s is: %w", name, err)
	}
	return started, nil
}
