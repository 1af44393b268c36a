package cloudwatch

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/smithy-go/logging"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// archiveTimeout bounds one page, with its attempts and the wait for its turn.
	archiveTimeout = time.Minute
	// archiveAttempts and archiveBackoff bound how often and how long a page that was refused for the moment is tried again.
	archiveAttempts = 8
	archiveBackoff  = 10 * time.Second
)

// Archive reads log streams. It is safe for concurrent use.
type Archive struct {
	client *cloudwatchlogs.Client
	region string
	// turn is how often FilterLogEvents is used; nil has GetLogEvents used in its place. The one is what a trail's identity may be
	// allowed, and the other what a person.
	turn flowcontrol.RateLimiter
}

// Line is one log event.
type Line struct {
	// Time is the one that it was sent with, in whole milliseconds.
	Time time.Time
	// Message is what was sent.
	Message []byte
}

// Span is a time from Start on, and before End. A zero time leaves that side open.
type Span struct{ Start, End time.Time }

// OpenArchive finds the credentials of whoever runs the program for a region, as the AWS command line does. No trail's identity and
// no operator's is involved. It fails when there are none; its errors say what to do.
func OpenArchive(ctx context.Context, region string) (*Archive, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(region), config.WithLogger(logging.Nop{}), config.WithRetryer(archiveRetryer))
	if err != nil {
		return nil, noCredentials(err)
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return nil, noCredentials(err)
	}
	return &Archive{client: cloudwatchlogs.NewFromConfig(cfg), region: region}, nil
}

func archiveRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff = archiveAttempts, archiveBackoff
	})
}

// OpenArchive opens what the trail pushed, with the trail's own identity. It refuses credentials of another account than the trail
// has delivered to.
func (o *Opener) OpenArchive(ctx context.Context, trail *v1alpha1.AuditTrail) (*Archive, error) {
	stream, err := o.Open(ctx, trail)
	if err != nil {
		return nil, err
	}
	options := stream.client.Options()
	options.Retryer = archiveRetryer()
	return &Archive{client: cloudwatchlogs.New(options), region: stream.region, turn: stream.pace.filter}, nil
}

// Lines are the log events of a stream by their time, oldest first, in pages of up to a megabyte. A person needs the permission
// logs:GetLogEvents for it, a trail's identity logs:FilterLogEvents. A sequence that has ended with an error has no more lines; its
// errors say what to do.
func (a *Archive) Lines(ctx context.Context, group, stream string, span Span) iter.Seq2[Line, error] {
	if a.turn != nil {
		return a.filtered(ctx, group, stream, span)
	}
	return func(yield func(Line, error) bool) {
		input := &cloudwatchlogs.GetLogEventsInput{
			LogGroupName: &group, LogStreamName: &stream, StartFromHead: aws.Bool(true),
			StartTime: milliseconds(span.Start), EndTime: milliseconds(span.End),
		}
		for {
			page, err := a.page(ctx, input)
			if err != nil {
				yield(Line{}, a.explain(group, stream, err))
				return
			}
			for i := range page.Events {
				event := &page.Events[i]
				line := lineOf(event.Timestamp, event.Message)
				if !yield(line, nil) {
					return
				}
			}
			// An empty page is not the end; a token that comes again is.
			if page.NextForwardToken == nil || aws.ToString(input.NextToken) == *page.NextForwardToken {
				return
			}
			input.NextToken = page.NextForwardToken
		}
	}
}

func lineOf(timestamp *int64, message *string) Line {
	return Line{Time: time.UnixMilli(aws.ToInt64(timestamp)), Message: []byte(aws.ToString(message))}
}

// filtered are the lines by FilterLogEvents, whose end is inclusive and whose pages may be empty.
func (a *Archive) filtered(ctx context.Context, group, stream string, span Span) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		input := &cloudwatchlogs.FilterLogEventsInput{
			LogGroupName: &group, LogStreamNames: []string{stream},
			StartTime: milliseconds(span.Start), EndTime: milliseconds(span.End),
		}
		for {
			page, err := a.filteredPage(ctx, input)
			if err != nil {
				yield(Line{}, a.explain(group, stream, err))
				return
			}
			for i := range page.Events {
				event := &page.Events[i]
				line := lineOf(event.Timestamp, event.Message)
				if !span.End.IsZero() && !line.Time.Before(span.End) {
					continue
				}
				if !yield(line, nil) {
					return
				}
			}
			if input.NextToken = page.NextToken; input.NextToken == nil {
				return
			}
		}
	}
}

func (a *Archive) filteredPage(ctx context.Context, input *cloudwatchlogs.FilterLogEventsInput) (*cloudwatchlogs.FilterLogEventsOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, archiveTimeout)
	defer cancel()
	if err := await(ctx, a.turn, "logs:FilterLogEvents"); err != nil {
		return nil, err
	}
	return a.client.FilterLogEvents(ctx, input)
}

func (a *Archive) page(ctx context.Context, input *cloudwatchlogs.GetLogEventsInput) (*cloudwatchlogs.GetLogEventsOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, archiveTimeout)
	defer cancel()
	return a.client.GetLogEvents(ctx, input)
}

// milliseconds is a time as CloudWatch Logs counts it, rounded up: its start is inclusive and its end exclusive, and events
// have whole milliseconds.
func milliseconds(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	at := t.UnixMilli()
	if t.After(time.UnixMilli(at)) {
		at++
	}
	return &at
}

// LedgerOf is the log stream of the ledger that belongs to a stream of records.
func LedgerOf(stream string) string { return stream + ledgerSuffix }

func noCredentials(cause error) error {
	return fmt.Errorf("no AWS credentials can be used: log in (aws sso login), or name a profile that is logged in with "+
		"AWS_PROFILE: %w", cause)
}
