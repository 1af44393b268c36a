package cli

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/query"
	"github.com/trailkeeper/trailkeeper/internal/query/archive"
)

// findEvent finds an event in the cluster, else in the log streams of the trails beside it.
func (s *session) findEvent(ctx context.Context, c client.Reader, name string) (*query.Row, error) {
	event := &v1alpha1.AuditEvent{}
	missing := s.find(ctx, c, "AuditEvent", name, event)
	if missing == nil {
		return rowOfCluster(ctx, c, event), nil
	}
	if !apierrors.IsNotFound(missing) {
		return nil, missing
	}
	keys, err := s.places(name)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		row, err := archivedEvent(ctx, c, key)
		if err != nil {
			return nil, fmt.Errorf("event %s is not in the cluster (any more): %w", key, err)
		}
		if row != nil {
			return row, nil
		}
	}
	return nil, missing
}

// rowOfCluster is an event with what is known of its outcome, as far as the user may read the trail that recorded it.
func rowOfCluster(ctx context.Context, c client.Reader, event *v1alpha1.AuditEvent) *query.Row {
	place, trail := &query.Cluster{}, &v1alpha1.AuditTrail{}
	key := client.ObjectKey{Namespace: event.Spec.TrailRef.Namespace, Name: event.Spec.TrailRef.Name}
	if c.Get(ctx, key, trail) == nil {
		place.Judged = query.JudgedBy([]v1alpha1.AuditTrail{*trail})
	}
	return place.Row(event)
}

// archiveOf is what a trail pushed, read with the user's own AWS credentials.
func archiveOf(trail *v1alpha1.AuditTrail) *archive.Place {
	return &archive.Place{Trail: trail, Open: func(ctx context.Context) (archive.Reader, error) {
		return cloudwatch.OpenArchive(ctx, trail.Spec.CloudWatch.Region)
	}}
}

// archivedEvent looks for an event by its name, which says when it was recorded; nil when it is nowhere.
func archivedEvent(ctx context.Context, c client.Reader, key client.ObjectKey) (*query.Row, error) {
	if _, ok := query.TimeOf(key.Name); !ok {
		return nil, nil
	}
	var trails v1alpha1.AuditTrailList
	if err := c.List(ctx, &trails, client.InNamespace(key.Namespace)); err != nil {
		return nil, refused(fmt.Errorf("listing the trails of namespace %s: %w", key.Namespace, err), viewerRole, key.Namespace)
	}
	span := query.Span{From: key.Name, To: key.Name + "\x00"}
	for i := range trails.Items {
		trail := &trails.Items[i]
		if !archive.Has(trail) {
			continue
		}
		place := archiveOf(trail)
		place.Whole, place.Strict = true, true
		for row, err := range place.Read(ctx, span, &query.Filter{}, 1) {
			if err != nil {
				return nil, err
			}
			if row.Event.Name == key.Name {
				return row, nil
			}
		}
	}
	return nil, nil
}
