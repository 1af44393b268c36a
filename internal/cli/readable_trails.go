package cli

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// readableTrails lists the trails of all namespaces, or of those among a few that the user may read.
type readableTrails struct {
	client.Reader
	namespaces []string
}

// List lists AuditTrails.
func (r *readableTrails) List(ctx context.Context, into client.ObjectList, options ...client.ListOption) error {
	err := r.Reader.List(ctx, into, options...)
	trails, ok := into.(*v1alpha1.AuditTrailList)
	if !ok || !apierrors.IsForbidden(err) {
		return err
	}
	for i, namespace := range r.namespaces {
		if slices.Contains(r.namespaces[:i], namespace) {
			continue
		}
		var found v1alpha1.AuditTrailList
		if err := r.Reader.List(ctx, &found, client.InNamespace(namespace)); err != nil && !apierrors.IsForbidden(err) {
			return fmt.Errorf("listing the trails of namespace %s: %w", namespace, err)
		}
		trails.Items = append(trails.Items, found.Items...)
	}
	return nil
}
