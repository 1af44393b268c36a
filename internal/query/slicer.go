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
	// firstSlice is how long the first slice is where nothing is known of how many events it has.
	firstSlice = time.Minute
	// sparse is by how much a slice is longer than one that had few events, at most.
	sparse = 8
	// ahead is by how much the clock of another replica may be.
	ahead = time.Minute
)

// newSlicer begins with a slice of some length.
func newSlicer(span Span, length time.Duration) *slicer {
	end := time.Now()
	if span.To != "" {
		end = timeOf(span.To)
	}
	s := &slicer{span: span, to: span.To, end: end, length: max(length, time.Millisecond)}
	if span.To == "" {
		s.end, s.length = s.end.Add(ahead), s.length+ahead
	}
	return s
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

// shorten makes the slice shorter because it has more events than a page, up to reached. It is false when it cannot be shorter. What
// is likely to have as many as are wanted, if events came evenly, is gone only half the way to: they may all be in the slice's
// older part.
func (s *slicer) shorten(reached time.Time, likely time.Duration) bool {
	start := timeOf(s.from)
	length := s.end.Sub(start)
	if s.from == "" || s.from == s.span.From { // The span's beginning says nothing of where events begin.
		length = min(length, s.length)
	}
	if length <= time.Millisecond {
		return false
	}
	s.crowded = reached
	halfWay := time.Duration(math.Sqrt(float64(likely) * float64(length/2)))
	s.length = max(min(halfWay, length/2, reached.Sub(start)*3/4), time.Millisecond)
	return true
}

// done goes on before the slice, which had some events, with one that is to have about as many as are wanted.
func (s *slicer) done(events, wanted int) {
	s.last = s.from == s.span.From
	s.to, s.end = s.from, timeOf(s.from)
	if s.length >= math.MaxInt64/(2*sparse) {
		return
	}
	s.length = max(lengthFor(wanted, s.length/time.Duration(max(events, 1)), sparse*s.length), time.Millisecond)
	if left := s.end.Sub(s.crowded); left > 0 {
		s.length = max(min(s.length, left/2), time.Millisecond)
	}
}

// lengthFor is how long a slice is that is to have some events which are apart by a time: a quarter longer than they would take if
// they came evenly, which they do not.
func lengthFor(events int, apart, longest time.Duration) time.Duration {
	if apart > longest/time.Duration(max(events, 1)) {
		return longest
	}
	return min(time.Duration(events)*apart*5/4, longest)
}
