package controllers

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	orphanInterval = time.Hour
	orphanRetry    = 5 * time.Minute
	deleteTimeout  = 10 * time.Second
)

// orphanSweep prunes events that no reconciled trail lists: of trails that are gone, and events that a project's trail
// recorded into the operator's namespace because its own was terminating.
//
// Nothing names the namespaces where such events are, so it pages through the metadata of all events, once an hour:
// 200 pages for 100,000 events. Only what is older than a day and has no trail of its label's name beside it is read
// in full and judged.
type orphanSweep struct {
	retention *RetentionReconciler
}

// NeedLeaderElection is true: one sweep is enough.
func (s *orphanSweep) NeedLeaderElection() bool { return true }

// Start sweeps until ctx ends, first soon after the leader has started.
func (s *orphanSweep) Start(ctx context.Context) error {
	logger := log.FromContext(ctx).WithName("retention-orphans")
	delay := orphanRetry
	for {
		timer := time.NewTimer(wait.Jitter(delay, retentionJitter))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		delay = orphanInterval
		pruned, err := s.sweep(ctx)
		if err != nil && ctx.Err() == nil {
			delay = orphanRetry
			logger.Error(err, "Pruning events without a trail failed, will retry", "delay", delay.String())
		}
		if pruned > 0 {
			s.retention.Metrics.Retention.OrphansPruned(pruned)
			logger.Info("Pruned events without a trail", "pruned", pruned)
		}
	}
}

// sweep looks at every event once and returns how many it pruned.
func (s *orphanSweep) sweep(ctx context.Context) (int, error) {
	// Read live and first: a trail that is missing from a cache would make orphans of its events.
	trails, err := s.retention.trailsByUID(ctx, s.retention.Events)
	if err != nil {
		return 0, err
	}
	if err := s.sweepChunks(ctx, trails); err != nil {
		return 0, err
	}
	names := make(map[client.ObjectKey]bool, len(trails))
	for _, trail := range trails {
		names[client.ObjectKeyFromObject(trail)] = true
	}
	pruned, next := 0, ""
	for {
		page, err := s.retention.listMetadata(ctx, client.Limit(pageSize), client.Continue(next))
		if apierrors.IsResourceExpired(err) {
			return pruned, nil // slower than the API server keeps page tokens: the rest is for the next sweep
		}
		if err != nil {
			return pruned, err
		}
		v := view{now: s.retention.Clock.Now(), trails: trails, resourceVersion: page.ResourceVersion}
		more, err := s.prunePage(ctx, page.Items, names, v)
		pruned += more
		if err != nil {
			return pruned, err
		}
		if next = page.Continue; next == "" {
			return pruned, nil
		}
	}
}

// prunePage prunes the candidates of a page and returns how many it pruned.
func (s *orphanSweep) prunePage(ctx context.Context, items []metav1.PartialObjectMetadata, names map[client.ObjectKey]bool, v view) (int, error) {
	pruned := 0
	for i := range items {
		item := &items[i]
		listed := names[client.ObjectKey{Namespace: item.Namespace, Name: item.Labels[v1alpha1.TrailLabel]}]
		if listed || item.CreationTimestamp.Add(defaultTTL).After(v.now) {
			continue
		}
		done, err := s.pruneOne(ctx, item, v)
		if err != nil {
			return pruned, err
		}
		if done {
			pruned++
		}
	}
	return pruned, nil
}

// pruneOne reads a candidate in full, judges and deletes it. It lists by name because the operator may not get events.
func (s *orphanSweep) pruneOne(ctx context.Context, item *metav1.PartialObjectMetadata, v view) (bool, error) {
	bounded, cancel := context.WithTimeout(ctx, deleteTimeout)
	defer cancel()
	var found v1alpha1.AuditEventList
	err := s.retention.Events.List(bounded, &found, client.InNamespace(item.Namespace), client.MatchingFields{"metadata.name": item.Name})
	if err != nil {
		return false, fmt.Errorf("reading event %s: %w", client.ObjectKeyFromObject(item), err)
	}
	for i := range found.Items {
		if judge(&found.Items[i], v, false) != keep {
			return true, s.retention.remove(ctx, &found.Items[i])
		}
	}
	return false, nil
}
