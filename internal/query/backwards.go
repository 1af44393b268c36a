package query

import (
	"context"
	"time"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// backwards yields the span's rows, newest first. The API server lists in one direction only, so it reads slices of time, each
// before the last, and turns them round. What a slice is long follows from how many events the last one had.
func (l *lister) backwards(ctx context.Context, yield func(*Row, error) bool) {
	slice, left := newSlicer(l.span, l.firstLength()), l.wanted
	for slice.next() {
		page, again, err := l.slice(ctx, slice)
		if err != nil {
			yield(nil, err)
			return
		}
		if again {
			continue
		}
		l.remember(page)
		for i := len(page) - 1; i >= 0; i-- {
			if row := l.cluster.Row(&page[i]); l.filter.Matches(row) {
				if !yield(row, nil) {
					return
				}
				left--
			}
		}
		slice.done(len(page), l.aim(left))
	}
}

// aim is how many events the next slice is to have, where some rows are left to read.
func (l *lister) aim(left int) int {
	if most := l.limit * 3 / 4; left <= 0 || left > most || l.filter.selective() {
		return most
	}
	return left
}

// firstLength is how long the first slice is to be, by what was remembered of how fast events follow one another. It has the page be
// as large as that takes.
func (l *lister) firstLength() time.Duration {
	seen, known := l.cluster.Memory.pace(l.cluster.Namespace)
	if !known {
		return firstSlice
	}
	l.limit = pageOf(seen.bytes)
	if l.wanted > 0 {
		// They may be larger than they were.
		l.limit = min(l.limit, max(firstPage, 3*l.wanted))
	}
	return lengthFor(l.aim(l.wanted), seen.apart, 24*time.Hour)
}

// remember remembers how fast the events of a slice followed one another.
func (l *lister) remember(page []v1alpha1.AuditEvent) {
	if len(page) > 1 && l.filter.selector().Empty() {
		l.cluster.Memory.keepPace(l.cluster.Namespace, pace{apart: apart(page), bytes: l.bytes})
	}
}

// apart is how much time is between two events of a page that has several.
func apart(page []v1alpha1.AuditEvent) time.Duration {
	return timeOf(page[len(page)-1].Name).Sub(timeOf(page[0].Name)) / time.Duration(len(page)-1)
}

// slice reads one slice whole; again says that it has more than a page, and was made shorter.
func (l *lister) slice(ctx context.Context, slice *slicer) (page []v1alpha1.AuditEvent, again bool, err error) {
	page, more, err := l.page(ctx, slice.from, l.limit)
	if err != nil {
		return nil, false, err
	}
	l.learn(page)
	inside := len(page)
	for inside > 0 && slice.to != "" && page[inside-1].Name >= slice.to {
		inside--
	}
	if !more || inside < len(page) {
		return page[:inside], false, nil
	}
	if slice.shorten(timeOf(page[len(page)-1].Name), lengthFor(l.aim(l.wanted), apart(page), slice.length)) {
		return nil, true, nil
	}
	page, err = l.rest(ctx, page, slice.to)
	return page, false, err
}

// rest reads on to a name what one millisecond has more than a page.
func (l *lister) rest(ctx context.Context, page []v1alpha1.AuditEvent, to string) ([]v1alpha1.AuditEvent, error) {
	for {
		further, more, err := l.page(ctx, page[len(page)-1].Name+"\x00", l.limit)
		if err != nil {
			return nil, err
		}
		for i := range further {
			if to != "" && further[i].Name >= to {
				return page, nil
			}
			page = append(page, further[i])
		}
		if !more {
			return page, nil
		}
	}
}
