package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	toolswatch "k8s.io/client-go/tools/watch"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/query"
)

// watching follows the events of some namespaces from a moment on.
type watching struct {
	search *search
	// events are those of all namespaces, in the order in which they come.
	events   chan watch.Event
	watchers []*toolswatch.RetryWatcher
	group    sync.WaitGroup
	shown    recently
}

// errWatchEnded is that the API server no longer knows what came since the watch was broken.
var errWatchEnded = errors.New("the watch was interrupted for longer than the API server remembers: run the command again, " +
	"with --since for what came in between")

// startWatching begins to watch.
func (f *search) startWatching(ctx context.Context) (*watching, error) {
	config, err := f.config()
	if err != nil {
		return nil, err
	}
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("reaching the API server: %w", err)
	}
	w := &watching{search: f, events: make(chan watch.Event), shown: newRecently()}
	for _, namespace := range f.namespaces {
		if err := w.add(ctx, c, namespace); err != nil {
			w.stop()
			return nil, refused(err, viewerRole, namespace)
		}
	}
	return w, nil
}

// add watches one namespace from now on. A watch that breaks is begun again where it broke.
func (w *watching) add(ctx context.Context, c client.WithWatch, namespace string) error {
	var now v1alpha1.AuditEventList
	if err := c.List(ctx, &now, client.InNamespace(namespace), client.Limit(1)); err != nil {
		return fmt.Errorf("listing the AuditEvents of namespace %s: %w", namespace, err)
	}
	watcher, err := toolswatch.NewRetryWatcherWithContext(ctx, now.ResourceVersion, &watchedNamespace{c, namespace})
	if err != nil {
		return fmt.Errorf("watching the AuditEvents of namespace %s: %w", namespace, err)
	}
	w.watchers = append(w.watchers, watcher)
	w.group.Go(func() {
		for event := range watcher.ResultChan() {
			select {
			case w.events <- event:
			case <-ctx.Done():
				return
			}
		}
		select {
		case w.events <- watch.Event{}: // No watch ends by itself but for good.
		case <-ctx.Done():
		}
	})
	return nil
}

// watchedNamespace begins a watch.
type watchedNamespace struct {
	client    client.WithWatch
	namespace string
}

// WatchWithContext begins a watch as options say.
func (n *watchedNamespace) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	return n.client.Watch(ctx, &v1alpha1.AuditEventList{}, &client.ListOptions{Namespace: n.namespace, Raw: &options})
}

// stop ends the watches and waits for them.
func (w *watching) stop() {
	for _, watcher := range w.watchers {
		watcher.Stop()
	}
	done := make(chan struct{})
	go func() { // It ends when the group does, which this function waits for.
		defer close(done)
		w.group.Wait()
	}()
	for {
		select {
		case <-w.events:
		case <-done:
			return
		}
	}
}

// print shows what comes, until the user has enough. An event that turns out not to have stuck is shown again.
func (w *watching) print(ctx context.Context, out printer) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-w.events:
			if err := w.take(event, out); err != nil {
				return err
			}
		}
	}
}

func (w *watching) take(event watch.Event, out printer) error {
	switch event.Type {
	case watch.Added, watch.Modified:
	case watch.Error:
		if err := apierrors.FromObject(event.Object); !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			return fmt.Errorf("watching AuditEvents: %w", err)
		}
		return errWatchEnded
	case "":
		return errWatchEnded
	default: // What is pruned was shown, and bookmarks show nothing.
		return nil
	}
	record, ok := event.Object.(*v1alpha1.AuditEvent)
	if !ok {
		return nil
	}
	row := &query.Row{Event: record, Source: query.SourceCluster, Outcome: record.Status.Outcome, Message: record.Status.Message}
	if !w.search.Filter.Matches(row) || w.shown.has(row) {
		return nil
	}
	if err := out.row(row); err != nil {
		return err
	}
	return out.flush()
}

// listed has what the list shows not shown again.
func (w *watching) listed(row *query.Row) { w.shown.has(row) }

// recently recognises what was shown lately: the same record with the same outcome, and other trails' records of the same change.
type recently struct{ trails *lru.Cache }

// maxRecent bounds what is remembered.
const maxRecent = 8192

func newRecently() recently { return recently{trails: lru.New(maxRecent)} }

// has says whether a row was shown, and remembers it.
func (r recently) has(row *query.Row) bool {
	trail := row.Event.Spec.TrailRef.UID
	outcome := row.Outcome
	if outcome == v1alpha1.OutcomePersisted { // A watch shows no outcome for what stuck.
		outcome = ""
	}
	before, known := r.note(row.Event.Spec.ID+"/"+string(outcome), trail)
	_, same := r.note(row.Event.Name+"/"+string(outcome), trail)
	return same || known && before != trail
}

func (r recently) note(key, trail string) (before any, known bool) {
	if before, known = r.trails.Get(key); !known {
		r.trails.Add(key, trail)
	}
	return before, known
}
