package query

import (
	"cmp"
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// Backlog is the events of some trails that wait for their destination, packed into AuditEventChunks.
type Backlog struct {
	// Reader may read AuditEventChunks, which users may not: whoever gives it has made sure that the reader of the answer may
	// list AuditEvents in the trails' namespace.
	Reader client.Reader
	// Namespace is the operator's.
	Namespace string
	// Trails are the uids of the trails.
	Trails []string
	// Memory, where it is set, remembers what is in which chunk from one reading to the next.
	Memory *Memory
}

// Span is all that is wanted.
func (b *Backlog) Span(wanted Span) Span { return wanted }

// backlogPage is how many rows are held in memory at once, unless they are large.
const backlogPage = 2000

// Read reads the chunks whose events may be in the span, again for each backlogPage rows: a trail's chunks hold hundreds of
// thousands of events, in the order in which they were recorded, and that is nearly but not quite the order of their names.
func (b *Backlog) Read(ctx context.Context, span Span, filter *Filter, hint int) Rows {
	reading := &unpacking{backlog: b, filter: filter, memory: cmp.Or(b.Memory, NewMemory())}
	size := backlogPage
	if hint > 0 {
		size = min(size, hint+1)
	}
	return func(yield func(*Row, error) bool) {
		chunks, err := b.list(ctx)
		for err == nil && len(chunks) > 0 {
			best := &bestRows{span: span, size: size}
			if chunks, err = reading.fill(ctx, best, chunks); err != nil {
				break
			}
			rows := best.sorted()
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
			if len(rows) < best.size {
				return
			}
			span, size = span.after(rows[len(rows)-1].Event.Name), backlogPage
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// stored is a chunk without its events.
type stored struct{ name, uid string }

// list reads metadata only: chunks are up to a megabyte, and few.
func (b *Backlog) list(ctx context.Context) ([]stored, error) {
	var chunks []stored
	for _, trail := range b.Trails {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("AuditEventChunkList"))
		err := withTimeout(ctx, func(ctx context.Context) error {
			return b.Reader.List(ctx, list, client.InNamespace(b.Namespace), client.MatchingLabels{v1alpha1.TrailUIDLabel: trail})
		})
		if err != nil {
			return nil, fmt.Errorf("listing packed events: %w", err)
		}
		for i := range list.Items {
			chunks = append(chunks, stored{name: list.Items[i].Name, uid: string(list.Items[i].UID)})
		}
	}
	return chunks, nil
}

func withTimeout(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	return call(ctx)
}
