package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/jsonclient"
)

// WatcherCommand makes the benchmark's program somebody who watches AuditEvents as the operator does, and does nothing with them but count.
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
	client, err := jsonclient.NewForWatches(config)
	if err != nil {
		return nil, nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	frames, err := openWatch(ctx, client)
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
func openWatch(ctx context.Context, client rest.Interface) (io.ReadCloser, error) {
	path := "/apis/" + v1alpha1.GroupVersion.String() + "/" + v1alpha1.AuditEventsResource.Resource
	newest, err := client.Get().AbsPath(path).Param("limit", "1").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing AuditEvents: %w", err)
	}
	var list metav1.PartialObjectMetadataList
	if err := json.Unmarshal(newest, &list); err != nil {
		return nil, fmt.Errorf("decoding a list of AuditEvents: %w", err)
	}
	return client.Get().AbsPath(path).Param("watch", "true").Param("resourceVersion", list.ResourceVersion).Stream(ctx)
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
