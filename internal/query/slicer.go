package query

import (
	"math"
	"time"
)

// slicer divides a span into slices of time, newest first.
type slicer struct {
	span Span
	// from and to bound the slice: it ends before to.
	from, to string
	// end is the time of to.
	end    time.Time
	length time.Duration
	// crowded is up to when a slice is known to have more than a page: a later slice that goes back so far is too long as well.
	crowded time.Time
	last    bool
}

const (
	// firstSlice is how long the first slice is.
	firstSlice = time.Minute
	// sparse is by how much a slice is longer than one that had few events.
	sparse = 8
)

func newSlicer(span Span) *slicer {
	end := time.Now().Add(firstSlice) // The clock of another replica may be ahead.
	if span.To != "" {
		end = timeOf(span.To)
	}
	return &slicer{span: span, to: span.To, end: end, length: firstSlice}
}

// next finds the next slice; false at the span's beginning. The first one reaches to the span's end, whatever the time.
func (s *slicer) next() bool {
	if s.last || s.span.Empty() {
		return false
	}
	s.from = FirstName(s.end.Add(-s.length))
	if s.from <= s.span.From || !s.end.Add(-s.length).After(time.UnixMilli(0)) {
		s.from = s.span.From
	}
	return true
}

// shorten makes the slice shorter because it has more events than a page, up to reached. It is false when it cannot be shorter.
func (s *slicer) shorten(reached time.Time) bool {
	start := timeOf(s.from)
	length := s.end.Sub(start)
	if s.from == "" || s.from == s.span.From { // The span's beginning says nothing of where events begin.
		length = min(length, s.length)
	}
	if length <= time.Millisecond {
		return false
	}
	s.crowded = reached
	s.length = max(min(length/2, reached.Sub(start)*3/4), time.Millisecond)
	return true
}

// done goes on before the slice, which had some events where a page takes limit.
func (s *slicer) done(events, limit int) {
	s.last = s.from == s.span.From
	s.to, s.end = s.from, timeOf(s.from)
	if events > limit/4 || s.length >= math.MaxInt64/(2*sparse) {
		return
	}
	s.length *= sparse
	if left := s.end.Sub(s.crowded); left > 0 {
		s.length = max(min(s.length, left/2), time.Millisecond)
	}
}
