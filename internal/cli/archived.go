package cli

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/query"
)

// archived is a place of events: what a trail pushed to its log stream, read with the user's own AWS credentials. A trail that
// cannot be read so does not spoil the answer, which then says from when on it is complete, unless the user asked for the log
// stream by name.
type archived struct {
	trail  string
	place  *v1alpha1.AuditTrail
	oldest time.Time
	// whole says that the user wants all of it, and not only what is older than what the cluster has.
	whole   bool
	failure error
}

// Span is what is older than what the cluster has, or everything.
func (a *archived) Span(wanted query.Span) query.Span {
	if a.whole {
		return wanted
	}
	if before := query.FirstName(a.oldest); wanted.To == "" || before < wanted.To {
		wanted.To = before
	}
	return wanted
}

// Read reads the records of a time, which CloudWatch Logs gives oldest first.
func (a *archived) Read(ctx context.Context, span query.Span, filter *query.Filter, _ int) query.Rows {
	rows := a.rows(ctx, span, filter)
	if span.Newest {
		rows = reversed(rows)
	}
	return func(yield func(*query.Row, error) bool) {
		for row, err := range rows {
			if err != nil && !a.whole && ctx.Err() == nil {
				a.failure = err
				return
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// maxReversed bounds what is held in memory to turn an answer round; --limit 0 reads without turning.
const maxReversed = 200_000

// reversed reads all rows before it yields the last one.
func reversed(rows query.Rows) query.Rows {
	return func(yield func(*query.Row, error) bool) {
		var all []*query.Row
		for row, err := range rows {
			if err == nil && len(all) == maxReversed {
				err = fmt.Errorf("more than %d events are to be looked at: ask for a shorter time, or give --limit 0", maxReversed)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			all = append(all, row)
		}
		for _, row := range slices.Backward(all) {
			if !yield(row, nil) {
				return
			}
		}
	}
}

func (a *archived) rows(ctx context.Context, span query.Span, filter *query.Filter) query.Rows {
	return func(yield func(*query.Row, error) bool) {
		destination := a.place.Spec.CloudWatch
		if destination.LogGroupClass == v1alpha1.LogGroupClassInfrequentAccess {
			yield(nil, fmt.Errorf("reading trail %s from CloudWatch Logs: %w", a.trail, errInfrequentAccess))
			return
		}
		archive, err := cloudwatch.OpenArchive(ctx, destination.Region)
		if err != nil {
			yield(nil, fmt.Errorf("reading trail %s from CloudWatch Logs: %w", a.trail, err))
			return
		}
		start, end := span.Times()
		lines := archive.Lines(ctx, destination.LogGroupName, a.place.Status.LogStreamName, cloudwatch.Span{Start: start, End: end})
		for row, err := range byName(a.decoded(lines)) {
			if err == nil && !filter.Matches(row) {
				continue
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// decoded are the records. Those of an earlier trail of the same name, which had the same stream, are among them.
func (a *archived) decoded(lines iter.Seq2[cloudwatch.Line, error]) query.Rows {
	return func(yield func(*query.Row, error) bool) {
		for line, err := range lines {
			if err != nil {
				yield(nil, err)
				return
			}
			row, err := rowOf(line.Message)
			if err != nil {
				err = fmt.Errorf("log stream %s has a line of %s that is no record (kubectl trail verify %s says more): %w",
					a.place.Status.LogStreamName, moment(line.Time), a.trail, err)
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
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
