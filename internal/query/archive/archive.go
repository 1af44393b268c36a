package archive

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/query"
)

// ErrInfrequentAccess says that nobody can read a log group's events but by Logs Insights.
var ErrInfrequentAccess = errors.New("its log group has the class InfrequentAccess, of which CloudWatch Logs gives log events to " +
	"Logs Insights only: export the log streams with it")

// errDisplaced says that the order of a log stream is not that of its events, so that pages may pass some over.
var errDisplaced = errors.New("it has events under later times than their own, because they waited for their destination or in a local file")

// Reader reads a log stream, as cloudwatch.Archive does.
type Reader interface {
	Lines(ctx context.Context, group, stream string, span cloudwatch.Span) iter.Seq2[cloudwatch.Line, error]
}

// Place is what a trail pushed to its log stream. One that cannot be read does not spoil an answer, unless it is Strict: the answer is
// then complete from Oldest on, and Failure says why.
type Place struct {
	// Trail is the trail, which has a destination.
	Trail *v1alpha1.AuditTrail
	// Open finds the credentials to read with.
	Open func(ctx context.Context) (Reader, error)
	// Oldest is when the trail's oldest event in the cluster was recorded.
	Oldest time.Time
	// Whole says that all of the stream is wanted, and not only what is older than Oldest.
	Whole bool
	// Strict says that rows end with an error when the stream cannot be read.
	Strict bool

	failure error
}

// Has says whether a trail has a log stream.
func Has(trail *v1alpha1.AuditTrail) bool {
	return trail.Spec.CloudWatch != nil && trail.Status.LogStreamName != ""
}

// Name is the trail's.
func (p *Place) Name() string { return p.Trail.Namespace + "/" + p.Trail.Name }

// Failure says why the stream could not be read; nil when nobody wanted to, or it could.
func (p *Place) Failure() error { return p.failure }

// overlap is for how long behind the cluster's oldest event the stream is read too: retention goes on while an answer is given.
const overlap = time.Hour

// Span is what is older than what the cluster has, or everything.
func (p *Place) Span(wanted query.Span) query.Span {
	if p.Whole {
		return wanted
	}
	if before := query.FirstName(p.Oldest.Add(overlap)); wanted.To == "" || before < wanted.To {
		wanted.To = before
	}
	return wanted
}

// Read reads the records of a time.
func (p *Place) Read(ctx context.Context, span query.Span, filter *query.Filter, _ int) query.Rows {
	return func(yield func(*query.Row, error) bool) {
		stream, err := p.open(ctx)
		rows := failed(err)
		switch {
		case err != nil:
		case span.Newest:
			rows = stream.newestFirst(ctx, span)
		default:
			rows = stream.oldestFirst(ctx, span)
		}
		for row, err := range rows {
			if err != nil && !p.Strict && ctx.Err() == nil {
				p.failure = err
				return
			}
			if err == nil && stream.displaced {
				p.failure = errDisplaced
			}
			if err == nil && (!span.Has(row.Event.Name) || !filter.Matches(row)) {
				continue
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

func failed(err error) query.Rows {
	return func(yield func(*query.Row, error) bool) { yield(nil, err) }
}

func (p *Place) open(ctx context.Context) (*stream, error) {
	destination := p.Trail.Spec.CloudWatch
	if destination.LogGroupClass == v1alpha1.LogGroupClassInfrequentAccess {
		return nil, fmt.Errorf("reading trail %s from CloudWatch Logs: %w", p.Name(), ErrInfrequentAccess)
	}
	reader, err := p.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading trail %s from CloudWatch Logs: %w", p.Name(), err)
	}
	return &stream{reader: reader, trail: p.Name(), group: destination.LogGroupName, name: p.Trail.Status.LogStreamName}, nil
}

// lookers is how many trails are asked at a time for their oldest event.
const lookers = 8

// FindOldest finds out for each place how far back the cluster has its trail's events.
func FindOldest(ctx context.Context, events client.Reader, memory *query.Memory, places []*Place) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(lookers)
	for _, place := range places {
		group.Go(func() (err error) {
			cluster := &query.Cluster{Reader: events, Namespace: place.Trail.Namespace, Memory: memory}
			place.Oldest, err = cluster.Oldest(ctx, place.Trail)
			return err
		})
	}
	return group.Wait()
}
