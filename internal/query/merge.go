package query

import (
	"context"
	"iter"
)

// merged reads several places as one, in the order of the span. A place is opened when its part of the span is reached, so that
// a log group is not asked for what the cluster has.
type merged struct {
	span   Span
	filter *Filter
	hint   int
	queue  []*opened
}

// opened is a place that is being read, or will be.
type opened struct {
	place Place
	span  Span
	next  func() (*Row, error, bool)
	stop  func()
	head  *Row
}

// mergeRows merges places. Of rows with the same name the one of the first place that has it comes first.
func mergeRows(ctx context.Context, places []Place, span Span, filter *Filter, hint int) Rows {
	return func(yield func(*Row, error) bool) {
		m := &merged{span: span, filter: filter, hint: hint}
		defer m.close()
		for _, place := range places {
			if part := place.Span(span); !part.Empty() {
				m.queue = append(m.queue, &opened{place: place, span: part})
			}
		}
		for {
			row, err := m.pop(ctx)
			if err != nil {
				yield(nil, err)
				return
			}
			if row == nil || !yield(row, nil) {
				return
			}
		}
	}
}

// pop is the next row of all places; nil at the end.
func (m *merged) pop(ctx context.Context) (*Row, error) {
	first := m.first()
	for first != nil && first.head == nil {
		if err := m.advance(ctx, first); err != nil {
			return nil, err
		}
		first = m.first()
	}
	if first == nil {
		return nil, nil
	}
	row := first.head
	first.head = nil
	return row, nil
}

// first is the place whose next row comes first, or that has to be looked at before that can be told. A place that has no more
// rows is taken out of the queue.
func (m *merged) first() *opened {
	var first *opened
	for _, each := range m.queue {
		if first == nil || m.comesBefore(each, first) {
			first = each
		}
	}
	return first
}

// comesBefore compares by the next row, or by where a place's part of the span begins.
func (m *merged) comesBefore(x, y *opened) bool {
	a, b := x.position(), y.position()
	switch {
	case a == b:
		return false
	case a == "": // Newest first, the open end is before all names; oldest first, the open beginning is.
		return true
	case b == "":
		return false
	default:
		return m.span.before(a, b)
	}
}

func (o *opened) position() string {
	switch {
	case o.head != nil:
		return o.head.Event.Name
	case o.next != nil: // Between two rows: the next one is not known, so it is looked at first.
		return ""
	case o.span.Newest:
		return o.span.To
	default:
		return o.span.From
	}
}

// advance reads the place's next row, and takes the place away at its end.
func (m *merged) advance(ctx context.Context, o *opened) error {
	if o.next == nil {
		o.next, o.stop = iter.Pull2(o.place.Read(ctx, o.span, m.filter, m.hint))
	}
	row, err, ok := o.next()
	if err != nil {
		return err
	}
	if ok {
		o.head = row
		return nil
	}
	o.stop()
	for i := range m.queue {
		if m.queue[i] == o {
			m.queue = append(m.queue[:i], m.queue[i+1:]...)
			break
		}
	}
	return nil
}

// close ends the readings that were not read to their end.
func (m *merged) close() {
	for _, each := range m.queue {
		if each.stop != nil {
			each.stop()
		}
	}
}
