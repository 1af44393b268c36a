package httpapi

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/query/archive"
)

// archiveOf is what a trail pushed; nil when there is no such thing.
func (s *server) archiveOf(trail *v1alpha1.AuditTrail) *archive.Place {
	if s.options.Archive == nil || !archive.Has(trail) {
		return nil
	}
	return &archive.Place{Trail: trail, Open: func(ctx context.Context) (archive.Reader, error) { return s.options.Archive(ctx, trail) }}
}

// addArchives adds the log streams of the trails of a scope whose oldest event in the cluster is younger than the beginning of the time
// that is asked for. Without such a beginning the answer is what the cluster has.
func (s *server) addArchives(ctx context.Context, caller client.Client, found *scope, asked *question) error {
	if asked.Filter.Start.IsZero() {
		return nil
	}
	var archives []*archive.Place
	for _, trail := range found.trails {
		if place := s.archiveOf(trail); place != nil && (asked.Filter.Trail == "" || asked.Filter.Trail == trail.Name) {
			archives = append(archives, place)
		}
	}
	if err := archive.FindOldest(ctx, caller, s.memory, archives); err != nil {
		return err
	}
	for _, place := range archives {
		if asked.Filter.Start.Before(place.Oldest) {
			asked.archives = append(asked.archives, place)
			asked.Places = append(asked.Places, place)
		}
	}
	return nil
}

// completeSince is from when on an answer that was read so far has everything; the zero time when that is all that was asked for.
// Why is for the operator's people, and for the caller no more than that it is so.
func (q *question) completeSince(ctx context.Context) time.Time {
	var since time.Time
	for _, place := range q.archives {
		err := place.Failure()
		if err == nil {
			continue
		}
		log.FromContext(ctx).Info("An answer is without what a trail pushed", "trail", place.Name(), "reason", err.Error())
		if place.Oldest.After(since) {
			since = place.Oldest
		}
	}
	return since.UTC()
}
