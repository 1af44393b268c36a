package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/query"
)

// stream is a log stream that is being read.
type stream struct {
	reader             Reader
	trail, group, name string
	// displaced says that an event was met under another time than its own.
	displaced bool
}

// slack is by how much records of one batch may be later than their events, for CloudWatch Logs to take them in their order.
const slack = time.Second

// oldestFirst are the rows of a span as CloudWatch Logs gives them. Those of an earlier trail of the same name, which had the same
// stream, are among them.
func (s *stream) oldestFirst(ctx context.Context, span query.Span) query.Rows {
	start, end := span.Times()
	return s.between(ctx, start, end, nil)
}

// between are the rows of a time. read, if it is not nil, is told how many bytes each has.
func (s *stream) between(ctx context.Context, start, end time.Time, read func(bytes int)) query.Rows {
	return byName(func(yield func(*query.Row, error) bool) {
		for line, err := range s.reader.Lines(ctx, s.group, s.name, cloudwatch.Span{Start: start, End: end}) {
			if err != nil {
				yield(nil, err)
				return
			}
			row, err := rowOf(line.Message)
			if err != nil {
				err = fmt.Errorf("log stream %s has a line of %s that is no record (kubectl trail verify %s says more): %w",
					s.name, line.Time.UTC().Format(time.RFC3339), s.trail, err)
			}
			if read != nil {
				read(len(line.Message))
			}
			s.displaced = s.displaced || err == nil && line.Time.Sub(row.Event.Spec.Time.Time) > slack
			if !yield(row, err) || err != nil {
				return
			}
		}
	})
}

const (
	// firstSlice is how long the first slice is that is read to turn an answer round, and sparse how many times longer the next is when
	// it has few rows.
	firstSlice = time.Hour
	sparse     = 8
	// mostHeld and mostBytes bound what is held in memory to turn it round: a slice with more is read again in a shorter one.
	mostHeld  = 2000
	mostBytes = 4 << 20
)

// newestFirst are the rows of a span, newest first. CloudWatch Logs filters in one direction only, so it reads slices of time, each
// before the last, and turns them round.
func (s *stream) newestFirst(ctx context.Context, span query.Span) query.Rows {
	return func(yield func(*query.Row, error) bool) {
		start, end := span.Times()
		if start.IsZero() {
			start = time.UnixMilli(0)
		}
		if end.IsZero() {
			end = time.Now()
		}
		for w := (window{length: firstSlice}); end.After(start); {
			rows, from, err := s.sliceBefore(ctx, start, end, &w)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, row := range slices.Backward(rows) {
				if !yield(row, nil) {
					return
				}
			}
			if end = from; len(rows) < mostHeld/sparse {
				w.grow(end)
			}
		}
	}
}

// window is how long slices are.
type window struct {
	length time.Duration
	// crowded is a time up to which a slice had too many rows: one that goes back so far has too many as well.
	crowded time.Time
}

// grow makes the next slice, which ends at end, longer.
func (w *window) grow(end time.Time) {
	w.length *= sparse
	if left := end.Sub(w.crowded); left > 0 {
		w.length = max(min(w.length, left/2), time.Millisecond)
	}
}

// sliceBefore are the rows of the last part of a time that is no longer than the window, which is made shorter where there are many. It
// begins at from.
func (s *stream) sliceBefore(ctx context.Context, start, end time.Time, w *window) (rows []*query.Row, from time.Time, err error) {
	for {
		if from = end.Add(-w.length); from.Before(start) {
			from = start
		}
		if rows, err = s.slice(ctx, from, end); !errors.Is(err, errCrowded) {
			return rows, from, err
		}
		w.crowded = rows[len(rows)-1].Event.Spec.Time.Time
		w.length = max(min(end.Sub(from)/sparse, end.Sub(w.crowded)/2), time.Millisecond)
	}
}

// errCrowded says that a slice has more than is to be held in memory. What one millisecond has is held all the same.
var errCrowded = errors.New("too many records at a time")

// slice holds the rows of a time, the first of them when there are too many.
func (s *stream) slice(ctx context.Context, start, end time.Time) ([]*query.Row, error) {
	var rows []*query.Row
	bytes, shortest := 0, end.Sub(start) <= time.Millisecond
	for row, err := range s.between(ctx, start, end, func(more int) { bytes += more }) {
		if err != nil {
			return nil, err
		}
		if rows = append(rows, row); !shortest && (len(rows) > mostHeld || bytes > mostBytes) {
			return rows, errCrowded
		}
	}
	return rows, nil
}

// rowOf reads a record as it was delivered (docs/ledger.md).
func rowOf(message []byte) (*query.Row, error) {
	var record struct {
		Event   v1alpha1.AuditEvent `json:"event"`
		Outcome v1alpha1.Outcome    `json:"outcome"`
		Message string              `json:"message"`
	}
	if err := json.Unmarshal(message, &record); err != nil {
		return nil, err
	}
	record.Event.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "AuditEvent"}
	return &query.Row{Event: &record.Event, Source: query.SourceLogGroup, Outcome: record.Outcome, Message: record.Message}, nil
}

// byName sorts what has the same time to the millisecond by name, which CloudWatch Logs does not.
func byName(rows query.Rows) query.Rows {
	return func(yield func(*query.Row, error) bool) {
		var together []*query.Row
		flush := func() bool {
			slices.SortFunc(together, func(a, b *query.Row) int { return cmp.Compare(a.Event.Name, b.Event.Name) })
			for _, row := range together {
				if !yield(row, nil) {
					return false
				}
			}
			together = together[:0]
			return true
		}
		for row, err := range rows {
			if err != nil {
				if flush() {
					yield(nil, err)
				}
				return
			}
			if len(together) > 0 && !sameMillisecond(together[0], row) && !flush() {
				return
			}
			together = append(together, row)
		}
		flush()
	}
}

func sameMillisecond(a, b *query.Row) bool {
	return a.Event.Spec.Time.UnixMilli() == b.Event.Spec.Time.UnixMilli()
}
