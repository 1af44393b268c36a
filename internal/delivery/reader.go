package delivery

import (
	"context"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// reader is how the judge sees objects.
type reader interface {
	read(ctx context.Context, ref *v1alpha1.ResourceReference, whole, consistent bool) (sight, error)
	survey(ctx context.Context, ref *v1alpha1.ResourceReference, revision uint64, whole bool, wanted map[string]bool,
		visit func(name string, seen sight)) (complete bool, err error)
	at(ctx context.Context, ref *v1alpha1.ResourceReference, revision uint64) (seen sight, shown uint64, err error)
	shareRevisions(ctx context.Context, ref *v1alpha1.ResourceReference) error
	appeared(ctx context.Context, refs []*v1alpha1.ResourceReference, since uint64) (map[string]bool, error)
	// ready fails when the API server does not even let the operator read its own events.
	ready(ctx context.Context) error
}
