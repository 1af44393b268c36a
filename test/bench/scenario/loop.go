package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
)

// ReceiverCommand is the first argument that makes the benchmark's program an AWS that checks what it is sent and keeps
// nothing of it. It speaks HTTP/1.1 without TLS, so that what is compared is the sending itself.
const ReceiverCommand = "receiver"

func newReceiver([]string) (http.Handler, func(), error) {
	receiver := cloudsim.New(cloudsim.Options{Users: []cloudsim.User{awsUser}, Discard: true})
	receiver.AddGroup(region, logGroup)
	receiver.AddStream(region, logGroup, "sending")
	return receiver, func() {}, nil
}

// loop is the plain loop around the SDK: one client, batches up to the limits, no compression.
type loop struct {
	client *cloudwatchlogs.Client
	// events are the records as the SDK takes them, made beforehand.
	events []types.InputLogEvent
}

func newLoop(url string, records []cloudwatch.Record) *loop {
	l := &loop{client: cloudwatchlogs.New(cloudwatchlogs.Options{
		Region: region, BaseEndpoint: &url,
		Credentials: credentials.NewStaticCredentialsProvider(awsUser.AccessKeyID, awsUser.SecretAccessKey, ""),
	})}
	for i := range records {
		l.events = append(l.events, types.InputLogEvent{Timestamp: &records[i].Time, Message: aws.String(string(records[i].Message))})
	}
	return l
}

func (l *loop) send(ctx context.Context, times int) (bytes, batches int, err error) {
	batch, inBatch := make([]types.InputLogEvent, 0, cloudwatch.MaxBatchEvents), 0
	put := func() error {
		output, err := l.client.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{
			LogGroupName: aws.String(logGroup), LogStreamName: aws.String("sending"), LogEvents: batch,
		})
		if err == nil && output.RejectedLogEventsInfo != nil {
			err = errors.New("records were rejected")
		}
		bytes, batches, batch, inBatch = bytes+inBatch, batches+1, batch[:0], 0
		return err
	}
	for i := range times * len(l.events) {
		event := l.events[i%len(l.events)]
		if i > 0 && i%len(l.events) == 0 || inBatch+len(*event.Message)+cloudwatch.EventOverhead > cloudwatch.MaxBatchBytes {
			// The second time the events begin anew, and a batch is in the order of time.
			if err := put(); err != nil {
				return 0, 0, fmt.Errorf("putting a batch with the SDK: %w", err)
			}
		}
		batch = append(batch, event)
		inBatch += len(*event.Message) + cloudwatch.EventOverhead
	}
	return bytes, batches, put()
}
