package query

import (
	"context"
	"sync"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// forwards yields the span's rows, oldest first.
func (l *lister) forwards(ctx context.Context, yield func(*Row, error) bool) {
	ctx, cancel := context.WithCancel(ctx)
	next := l.fetch(ctx, l.span.From)
	defer func() {
		cancel()
		next() // It must not go on reading alone.
	}()
	for {
		page := next()
		if page.err != nil {
			yield(nil, page.err)
			return
		}
		last := !page.more || !l.span.Has(page.events[len(page.events)-1].Name)
		if !last {
			next = l.fetch(ctx, page.events[len(page.events)-1].Name+"\x00")
		}
		if !l.yieldAll(page.events, yield) || last {
			return
		}
	}
}

// yieldAll yields what is wanted of some events; false when nothing more is.
func (l *lister) yieldAll(events []v1alpha1.AuditEvent, yield func(*Row, error) bool) bool {
	for i := range events {
		if row := l.cluster.Row(&events[i]); l.span.Has(row.Event.Name) && l.filter.Matches(row) && !yield(row, nil) {
			return false
		}
	}
	return true
}

// fetched is a page, or why there is none.
type fetched struct {
	events []v1alpha1.AuditEvent
	more   bool
	err    error
}

// fetch reads a page: when all rows are wanted, while the page before it is used, and else when it is asked for. What it returns
// waits for the page, and yields the same each time.
func (l *lister) fetch(ctx context.Context, from string) func() fetched {
	read := sync.OnceValue(func() (page fetched) {
		page.events, page.more, page.err = l.page(ctx, from, l.limit)
		l.learn(page.events)
		return page
	})
	if l.wanted == 0 {
		go read() // Whoever calls what is returned waits for it.
	}
	return read
}
