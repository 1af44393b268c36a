package query

import "context"

// Query is a question, and where its answer is looked for.
type Query struct {
	Filter Filter
	// Newest has the newest event come first.
	Newest bool
	// Places are looked at together. A change that several trails recorded appears once.
	Places []Place
	// MaxBytes bounds about how much memory the rows of a page take: large events make it shorter. 0 bounds nothing.
	MaxBytes int
}

// Page is a part of an answer.
type Page struct {
	Rows []*Row
	// Next goes on behind the page; nil at the end.
	Next *Cursor
}

// Rows are the rows of the answer behind a cursor, or from the first one on when it is nil: up to limit, 0 for all, after skip of them
// have been left out.
func (q *Query) Rows(ctx context.Context, cursor *Cursor, skip, limit int) Rows {
	hint := 0
	if limit > 0 {
		hint = skip + limit
	}
	return func(yield func(*Row, error) bool) {
		yielded := 0
		for row, err := range q.behind(ctx, cursor.position(), skip, hint) {
			yielded++
			if !yield(row, err) || err != nil || yielded == limit {
				return
			}
		}
	}
}

// Page reads the rows behind a cursor, up to limit or MaxBytes, after it has left out skip of them. A nil cursor begins at the first row; one
// of another order is an error of the caller, who finds out by Cursor.Newest.
func (q *Query) Page(ctx context.Context, cursor *Cursor, skip, limit int) (Page, error) {
	at := cursor.position()
	at.count += skip
	var page Page
	var end *Cursor
	bytes := 0
	for row, err := range q.behind(ctx, at, skip, skip+limit) {
		switch {
		case err != nil:
			return Page{}, err
		case end != nil:
			page.Next = end
			return page, nil
		default:
			page.Rows = append(page.Rows, row)
			at.last = row.Event.Name
			at.count++
			if bytes += weight(row.Event); len(page.Rows) == limit || q.MaxBytes > 0 && bytes >= q.MaxBytes {
				end = at.cursor(q.Newest)
			}
		}
	}
	return page, nil
}

// behind reads on behind a position, after it has left out skip rows. hint is about how many rows will be read; 0 for all.
func (q *Query) behind(ctx context.Context, at *position, skip, hint int) Rows {
	span := q.Filter.span(q.Newest)
	if at.last != "" {
		span = span.after(at.last)
	}
	return func(yield func(*Row, error) bool) {
		for row, err := range mergeRows(ctx, q.Places, span, &q.Filter, hint) {
			if err == nil && at.copies.has(row) {
				continue
			}
			if err == nil && skip > 0 {
				skip--
				continue
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}
