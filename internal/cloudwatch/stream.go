package cloudwatch

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

const (
	// callTimeout bounds each call but PutLogEvents.
	callTimeout = 10 * time.Second
	// maxPages bounds a search for a stream. Names come in order and an exact match is the first of its prefix; a
	// stream that were missed nevertheless is found by CreateLogStream.
	maxPages = 5
	// maxAttempts bounds the creation of a group or stream that somebody else is changing at the same time.
	maxAttempts = 4
	// attemptPause is the mean pause between such attempts.
	attemptPause = 250 * time.Millisecond
)

// Stream is a log stream, opened with one trail's credentials. Open it anew after an error of ClassAuth. It is safe
// for concurrent use.
type Stream struct {
	client              *cloudwatchlogs.Client
	group, name, region string
	create              bool
	compress            bool
	pace                *pace
	class               v1alpha1.LogGroupClass // of a group that is created; "" for AWS's default
	// alone says that the group is somebody else's to make: Ensure then creates the stream, and looks for nothing, because
	// an account has few of those calls a second.
	alone bool
}

// Observed is what Ensure found or made.
type Observed struct {
	// LogGroupARN is the group's ARN without ":*"; empty when it could not be learned.
	LogGroupARN string
	// GroupCreated and StreamCreated say that this very call made them.
	GroupCreated, StreamCreated bool
}

// Group is the log group's name.
func (s *Stream) Group() string { return s.group }

// Name is the log stream's name.
func (s *Stream) Name() string { return s.name }

// Ensure makes sure of the log group and the log stream. When both exist that takes one call, which proves key,
// permission, group and stream together. Its errors are faults; ReasonLogGroupNotFound when the group is missing and
// the trail does not want it created.
func (s *Stream) Ensure(ctx context.Context) (Observed, error) {
	if s.alone {
		created, err := s.createStream(ctx)
		return Observed{StreamCreated: created}, err
	}
	found, err := s.find(ctx)
	var observed Observed
	switch {
	case ClassOf(err) == ClassNotFound:
		if !s.create {
			return Observed{}, s.groupNotFound(err)
		}
		if observed.GroupCreated, err = s.createGroup(ctx); err != nil {
			return Observed{}, err
		}
	case err != nil:
		return Observed{}, err
	case found != nil:
		return Observed{LogGroupARN: groupARN(aws.ToString(found.Arn))}, nil
	}
	if observed.StreamCreated, err = s.createStream(ctx); err != nil {
		return Observed{}, err
	}
	if found, err = s.find(ctx); err == nil && found != nil { // Only for the ARN: it may not be visible yet.
		observed.LogGroupARN = groupARN(aws.ToString(found.Arn))
	}
	return observed, nil
}

// Delete deletes the log stream with everything in it. A stream that is gone already is success.
func (s *Stream) Delete(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.client.DeleteLogStream(ctx, &cloudwatchlogs.DeleteLogStreamInput{LogGroupName: &s.group, LogStreamName: &s.name})
	if err = classify("logs:DeleteLogStream", err); ClassOf(err) == ClassNotFound {
		return nil
	}
	return err
}

// find looks for the stream by its exact name; nil when only the stream is missing.
func (s *Stream) find(ctx context.Context) (*types.LogStream, error) {
	input := &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: &s.group, LogStreamNamePrefix: &s.name}
	for range maxPages {
		page, err := s.describe(ctx, input)
		if err != nil {
			return nil, err
		}
		for i := range page.LogStreams {
			if aws.ToString(page.LogStreams[i].LogStreamName) == s.name { // The prefix "foo" finds "foo-bar" too.
				return &page.LogStreams[i], nil
			}
		}
		if page.NextToken == nil {
			break
		}
		input.NextToken = page.NextToken
	}
	return nil, nil
}

func (s *Stream) describe(ctx context.Context, input *cloudwatchlogs.DescribeLogStreamsInput) (*cloudwatchlogs.DescribeLogStreamsOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	const operation = "logs:DescribeLogStreams"
	if err := await(ctx, s.pace.describeStreams, operation); err != nil {
		return nil, err
	}
	page, err := s.client.DescribeLogStreams(ctx, input)
	return page, classify(operation, err)
}

// createGroup creates the group without tags and key, which would need another permission.
func (s *Stream) createGroup(ctx context.Context) (bool, error) {
	input := &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &s.group}
	if s.class == v1alpha1.LogGroupClassInfrequentAccess {
		input.LogGroupClass = types.LogGroupClassInfrequentAccess
	}
	return createWithRetry(ctx, "logs:CreateLogGroup", func(ctx context.Context) error {
		_, err := s.client.CreateLogGroup(ctx, input)
		return err
	})
}

func (s *Stream) createStream(ctx context.Context) (bool, error) {
	const operation = "logs:CreateLogStream"
	return createWithRetry(ctx, operation, func(ctx context.Context) error {
		if err := await(ctx, s.pace.createStream, operation); err != nil {
			return err
		}
		_, err := s.client.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &s.group, LogStreamName: &s.name})
		return err
	})
}

// createWithRetry calls create until it succeeds, there already is one (false), or trying again soon has no point. A
// group that was just created may not be visible to CreateLogStream yet, hence ClassNotFound.
func createWithRetry(ctx context.Context, operation string, create func(context.Context) error) (created bool, err error) {
	for attempt := 1; ; attempt++ {
		err = createOnce(ctx, create)
		var exists *types.ResourceAlreadyExistsException
		if err == nil || errors.As(err, &exists) {
			return err == nil, nil
		}
		err = classify(operation, err)
		again := fault.ReasonOf(err) == v1alpha1.ReasonLogGroupBusy || ClassOf(err) == ClassNotFound
		if !again || attempt == maxAttempts {
			return false, err
		}
		select {
		case <-ctx.Done():
			return false, classify(operation, ctx.Err())
		case <-time.After(attemptPause/2 + rand.N(attemptPause)): //nolint:gosec // Spreading load needs no secrecy.
		}
	}
}

func createOnce(ctx context.Context, create func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return create(ctx)
}

// groupARN takes the group's ARN out of a stream's.
func groupARN(streamARN string) string {
	group, _, _ := strings.Cut(streamARN, ":log-stream:")
	return group
}
