package objects

import (
	"context"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// Reader is how those who judge see objects. Its methods fail as the API server says, or with ErrNoSuchKind; they have deadlines.
type Reader interface {
	// Read shows an object as it is, with its body when the whole of it is wanted. What need not be consistent comes from the API
	// server's cache: what that shows was true once, but what it does not show may exist.
	Read(ctx context.Context, ref *v1alpha1.ResourceReference, whole, consistent bool) (Sight, error)
	// Survey lists the objects of ref's resource and namespace and shows those with the wanted names to visit, as they were at a revision,
	// or as they are when that is 0. complete is false when that would have taken more than single reads do; then nothing is known of those
	// that were not visited.
	Survey(ctx context.Context, ref *v1alpha1.ResourceReference, revision uint64, whole bool, wanted map[string]bool,
		visit func(name string, seen Sight)) (complete bool, err error)
	// At shows an object as it was at a revision, or as it is when that is 0, and the revision of which that is true. It fails when the
	// API server does not know the revision any more.
	At(ctx context.Context, ref *v1alpha1.ResourceReference, revision uint64) (seen Sight, shown uint64, err error)
	// ShareRevisions fails when such objects do not count with the AuditEvents: then the revision of an event says nothing of them.
	ShareRevisions(ctx context.Context, ref *v1alpha1.ResourceReference) error
	// Appeared says which objects of one place, by their uids, were there at any time after a revision. It fails with ErrForgotten when
	// the API server does not remember.
	Appeared(ctx context.Context, refs []*v1alpha1.ResourceReference, since uint64) (map[string]bool, error)
}
