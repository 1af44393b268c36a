package query

import (
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// Span is a range of names, which sort by time, and the order in which it is read.
type Span struct {
	// From is the first name and To the one before which the span ends; an empty one leaves that side open.
	From, To string
	// Newest says that the last name comes first.
	Newest bool
}

// span is the range of names that events of the filter's time have: names are exact to the millisecond, so that the filter
// must look at the time as well.
func (f *Filter) span(newest bool) Span {
	span := Span{Newest: newest}
	if !f.Start.IsZero() {
		span.From = FirstName(f.Start)
	}
	if !f.End.IsZero() {
		span.To = FirstName(f.End.Add(time.Millisecond - 1))
	}
	return span
}

// Empty says that no name can be in the span.
func (s Span) Empty() bool { return s.To != "" && s.From >= s.To }

// Has says whether a name is in the span.
func (s Span) Has(name string) bool { return name >= s.From && (s.To == "" || name < s.To) }

// overlaps says whether two spans have a name in common.
func (s Span) overlaps(other Span) bool {
	return (s.To == "" || other.From < s.To) && (other.To == "" || s.From < other.To)
}

// with is the least span that has one more name.
func (s Span) with(name string) Span {
	if s.To == "" {
		return Span{From: name, To: name + "\x00"}
	}
	return Span{From: min(s.From, name), To: max(s.To, name+"\x00")}
}

// after is what is left of the span behind a name, in the order of reading.
func (s Span) after(name string) Span {
	if s.Newest {
		s.To = name
	} else {
		s.From = name + "\x00"
	}
	return s
}

// before compares names in the order of reading.
func (s Span) before(a, b string) bool {
	if s.Newest {
		return a > b
	}
	return a < b
}

// Times are the times of the names: every event of the span has one that is not before start and before end. A zero time means
// that this side is open.
func (s Span) Times() (start, end time.Time) {
	if s.From != "" {
		start = timeOf(s.From)
	}
	if s.To != "" {
		end = timeOf(s.To).Add(time.Millisecond)
	}
	return start, end
}

// FirstName is the least name that an event of a time, or of its millisecond, can have.
func FirstName(at time.Time) string {
	var id ulid.ULID
	if at.After(time.UnixMilli(0)) {
		_ = id.SetTime(min(ulid.Timestamp(at), ulid.MaxTime())) // It fits now.
	}
	return strings.ToLower(id.String())
}

// timeOf is when an event of a name was recorded, in whole milliseconds; the epoch when it is not a name that Trailkeeper gives.
func timeOf(name string) time.Time {
	id, err := ulid.Parse(strings.ToUpper(name[:min(len(name), ulid.EncodedSize)]))
	if err != nil {
		return time.UnixMilli(0)
	}
	return ulid.Time(id.Time())
}

// TimeOf is when an event of a name was recorded, in whole milliseconds. It is false when no AuditEvent has such a name.
func TimeOf(name string) (time.Time, bool) {
	id, err := ulid.ParseStrict(strings.ToUpper(name))
	if err != nil || name != strings.ToLower(name) {
		return time.Time{}, false
	}
	return ulid.Time(id.Time()), true
}
