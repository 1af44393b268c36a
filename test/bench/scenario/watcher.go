package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// WatcherCommand makes the benchmark's program somebody who watches AuditEvents and does nothing with them but count. Nobody who has
// the API server tell of each event can use less.
const WatcherCommand = "watcher"

// newWatcher has a kubeconfig. Its handler says how many frames have come.
func newWatcher(args []string) (http.Handler, func(), error) {
	if len(args) != 1 {
		return nil, nil, fmt.Errorf("%s needs the file of a kubeconfig", WatcherCommand)
	}
	config, err := clientcmd.BuildConfigFromFlags("", args[0])
	if err != nil {
		return nil, nil, fmt.Errorf("reading the operator's kubeconfig: %w", err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, nil, fmt.Errorf("making a client: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	frames, err := openWatch(ctx, client, config.Host)
	if err != nil {
		stop()
		return nil, nil, fmt.Errorf("watching AuditEvents: %w", err)
	}
	var counted atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		count(frames, &counted)
	}()
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strconv.FormatInt(counted.Load(), 10))
	})
	return handler, func() { stop(); <-ended; _ = frames.Close() }, nil
}

// openWatch begins a watch of AuditEvents that are stored from now on, whose frames come one a line.
func openWatch(ctx context.Context, client *http.Client, host string) (io.ReadCloser, error) {
	address := host + "/apis/" + v1alpha1.GroupVersion.String() + "/auditevents?"
	newest, err := getBody(ctx, client, address+"limit=1")
	if err != nil {
		return nil, err
	}
	var list metav1.PartialObjectMetadataList
	if err := errors.Join(json.NewDecoder(newest).Decode(&list), newest.Close()); err != nil {
		return nil, fmt.Errorf("decoding a list of AuditEvents: %w", err)
	}
	return getBody(ctx, client, address+"watch=true&resourceVersion="+list.ResourceVersion)
}

func getBody(ctx context.Context, client *http.Client, address string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody) //nolint:gosec // It is the benchmark's own control plane.
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept-Encoding", "identity") // As the feed asks.
	response, err := client.Do(request)               //nolint:gosec // See above.
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, errors.Join(errors.New(response.Status), response.Body.Close())
	}
	return response.Body, nil
}

// count counts lines until there are no more.
func count(lines io.Reader, into *atomic.Int64) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := lines.Read(buffer)
		into.Add(int64(bytes.Count(buffer[:n], []byte("\n"))))
		if err != nil {
			return
		}
	}
}

// hasSeen fails when a watcher has counted fewer frames than there were events.
func (w *webhook) hasSeen(ctx context.Context, events int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.at.URL, http.NoBody)
	if err != nil {
		return fmt.Errorf("asking the watcher: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("asking the watcher: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("asking the watcher: %w", err)
	}
	if seen, err := strconv.Atoi(string(text)); err != nil || seen < events {
		return fmt.Errorf("the watcher has seen %q of %d events", text, events)
	}
	return nil
}
