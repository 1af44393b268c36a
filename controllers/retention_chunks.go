package controllers

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// +kubebuilder:rbac:groups=audit.trailkeeper.dev,resources=auditeventchunks,verbs=list;delete,namespace=trailkeeper-system

// sweepChunks prunes packed events that nobody will deliver: of trails that are gone, and what another replica delivered
// without knowing that it was packed as well.
func (s *orphanSweep) sweepChunks(ctx context.Context, trails map[string]*v1alpha1.AuditTrail) error {
	bounded, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("AuditEventChunkList"))
	if err := s.retention.Events.List(bounded, list, client.InNamespace(s.retention.Namespace)); err != nil {
		return fmt.Errorf("listing chunks: %w", err)
	}
	for i := range list.Items {
		item := &list.Items[i]
		if !chunkIsDone(item, trails, list.ResourceVersion, s.retention.Clock.Now()) {
			continue
		}
		if err := s.removeChunk(ctx, item); err != nil {
			return err
		}
	}
	return nil
}

// chunkIsDone decides over one chunk, by the rules of judge: one of a trail that exists is pruned only when it is known to be
// delivered, and one whose trail is gone is kept for a day.
func chunkIsDone(item *metav1.PartialObjectMetadata, trails map[string]*v1alpha1.AuditTrail, listed string, now time.Time) bool {
	trail := trails[item.Labels[v1alpha1.TrailUIDLabel]]
	if trail == nil {
		return !item.CreationTimestamp.Add(defaultTTL).After(now)
	}
	if trail.Status.Delivery == nil {
		return false
	}
	cursor := trail.Status.Delivery.ResourceVersion
	return atMost(item.Annotations[v1alpha1.ChunkLastAnnotation], cursor) && atMost(cursor, listed)
}

func (s *orphanSweep) removeChunk(ctx context.Context, item *metav1.PartialObjectMetadata) error {
	ctx, cancel := context.WithTimeout(ctx, deleteTimeout)
	defer cancel()
	chunk := &v1alpha1.AuditEventChunk{ObjectMeta: metav1.ObjectMeta{Namespace: item.Namespace, Name: item.Name}}
	err := s.retention.Client.Delete(ctx, chunk, client.Preconditions{UID: &item.UID})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("pruning chunk %s: %w", item.Name, err)
	}
	return nil
}
