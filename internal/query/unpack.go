package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/chunk"
)

// unpacking is one reading of a backlog.
type unpacking struct {
	backlog *Backlog
	filter  *Filter
	memory  *Memory
}

// fill offers the events of all chunks that can have better rows, and returns the chunks that are not behind the span.
func (u *unpacking) fill(ctx context.Context, best *bestRows, chunks []stored) ([]stored, error) {
	var left []stored
	for _, each := range chunks {
		names, known := u.memory.chunk(each.uid)
		if known && !names.overlaps(best.span) {
			continue
		}
		left = append(left, each)
		if known && !names.overlaps(best.wanted()) {
			continue
		}
		if err := u.unpack(ctx, best, each); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// ErrMoved says that a chunk was delivered while it was being read: its events are in the log group now, and this answer would
// be without them.
var ErrMoved = errors.New("events that waited for their destination were delivered meanwhile: ask again")

// unpack offers the events of one chunk.
func (u *unpacking) unpack(ctx context.Context, best *bestRows, packed stored) error {
	reader, err := u.open(ctx, packed.name)
	if apierrors.IsNotFound(err) {
		return ErrMoved
	}
	if err != nil {
		return fmt.Errorf("reading AuditEventChunk %s: %w", packed.name, err)
	}
	names := Span{}
	for {
		entry, err := reader.Next()
		if errors.Is(err, io.EOF) {
			u.memory.keepChunk(packed.uid, names)
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading AuditEventChunk %s: %w", packed.name, err)
		}
		names = names.with(entry.Name)
		if !best.wanted().Has(entry.Name) {
			continue
		}
		row, err := rowOf(entry)
		if err != nil {
			return fmt.Errorf("reading AuditEventChunk %s: %w", packed.name, err)
		}
		if u.filter.Matches(row) {
			best.add(row)
		}
	}
}

func (u *unpacking) open(ctx context.Context, name string) (*chunk.Reader, error) {
	var object v1alpha1.AuditEventChunk
	err := withTimeout(ctx, func(ctx context.Context) error {
		return u.backlog.Reader.Get(ctx, client.ObjectKey{Namespace: u.backlog.Namespace, Name: name}, &object)
	})
	if err != nil {
		return nil, err
	}
	spec := &object.Spec
	first, err1 := strconv.ParseUint(spec.FirstResourceVersion, 10, 64)
	last, err2 := strconv.ParseUint(spec.LastResourceVersion, 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if spec.Encoding != v1alpha1.ChunkJSONLinesGzip {
		return nil, fmt.Errorf("its encoding %q is not known", spec.Encoding)
	}
	return chunk.NewReader(&chunk.Packed{
		First: first, Last: last, Count: int(spec.Count), Checksum: spec.Checksum, Data: spec.Data,
	})
}

// rowOf is a packed event.
func rowOf(entry *chunk.Entry) (*Row, error) {
	event := newEvent(entry.Namespace, entry.Name)
	if err := json.Unmarshal(entry.Spec, &event.Spec); err != nil {
		return nil, fmt.Errorf("decoding the spec of AuditEvent %s/%s: %w", entry.Namespace, entry.Name, err)
	}
	return &Row{Event: event, Source: SourceBacklog, Outcome: entry.Outcome, Message: entry.Message}, nil
}

// backlogBytes bounds what the rows that are held take, about: where events are large there are fewer.
const backlogBytes = 4 << 20

// bestRows are the first rows of a span, of all that are added.
type bestRows struct {
	span Span
	// size is how many are wanted; fewer when they would take too much memory.
	size  int
	rows  []*Row
	bytes int
}

// wanted is the part of the span whose rows are still of use.
func (b *bestRows) wanted() Span {
	if len(b.rows) < b.size {
		return b.span
	}
	wanted, last := b.span, b.rows[b.size-1].Event.Name
	if wanted.Newest {
		wanted.From = last
	} else {
		wanted.To = last + "\x00"
	}
	return wanted
}

// add keeps a row. It sorts when there are as many as are of use, so that the last of these is known, and then only when there are
// twice as many.
func (b *bestRows) add(row *Row) {
	b.rows = append(b.rows, row)
	b.bytes += weight(row.Event)
	if len(b.rows) == b.size || len(b.rows) >= 2*b.size || b.bytes > 2*backlogBytes {
		b.rows = b.sorted()
	}
}

func (b *bestRows) sorted() []*Row {
	slices.SortFunc(b.rows, func(x, y *Row) int {
		order := cmp.Compare(x.Event.Name, y.Event.Name)
		if b.span.Newest {
			return -order
		}
		return order
	})
	kept := b.affordable()
	clear(b.rows[kept:])
	b.rows = b.rows[:kept]
	return b.rows
}

// affordable is how many of the sorted rows are kept. Where that is a matter of memory, no more will be wanted.
func (b *bestRows) affordable() int {
	b.bytes = 0
	for i, row := range b.rows[:min(b.size, len(b.rows))] {
		bytes := weight(row.Event)
		if i > 0 && b.bytes+bytes > backlogBytes {
			b.size = i
			break
		}
		b.bytes += bytes
	}
	return min(b.size, len(b.rows))
}
