package scenario

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// readiness watches all trails, and remembers when each was first seen to be ready: asking for them one by one would be
// load of its own.
type readiness struct {
	watch watch.Interface
	done  chan struct{}

	mu    sync.Mutex
	ready map[client.ObjectKey]time.Time
}

func (r *Rig) watchReadiness(ctx context.Context) (*readiness, error) {
	c, err := client.NewWithWatch(r.env.Admin(), client.Options{Scheme: r.admin.Scheme()})
	if err != nil {
		return nil, fmt.Errorf("making a client that watches: %w", err)
	}
	watching, err := c.Watch(ctx, &v1alpha1.AuditTrailList{})
	if err != nil {
		return nil, fmt.Errorf("watching trails: %w", err)
	}
	seen := &readiness{watch: watching, done: make(chan struct{}), ready: map[client.ObjectKey]time.Time{}}
	go func() {
		defer close(seen.done)
		for event := range watching.ResultChan() {
			seen.note(event)
		}
	}()
	return seen, nil
}

func (r *readiness) note(event watch.Event) {
	trail, ok := event.Object.(*v1alpha1.AuditTrail)
	if !ok || !meta.IsStatusConditionTrue(trail.Status.Conditions, v1alpha1.ReadyCondition) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if key := client.ObjectKeyFromObject(trail); r.ready[key].IsZero() {
		r.ready[key] = time.Now()
	}
}

// of is when a trail became ready; it waits for that.
func (r *readiness) of(ctx context.Context, key client.ObjectKey) (at time.Time, err error) {
	err = wait.PollUntilContextTimeout(ctx, poll, patience, true, func(context.Context) (bool, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		at = r.ready[key]
		return !at.IsZero(), nil
	})
	if err != nil {
		return at, fmt.Errorf("AuditTrail %s did not become ready: %w", key, err)
	}
	return at, nil
}

func (r *readiness) stop() {
	r.watch.Stop()
	<-r.done
}
