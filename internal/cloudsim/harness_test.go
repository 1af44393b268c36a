package cloudsim_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	. "github.com/onsi/gomega"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
)

const (
	region = "eu-west-1"
	group  = "/audit/prod"
	stream = "cluster-a"
)

// alice may do everything at CloudWatch Logs.
var alice = cloudsim.User{
	Name: "alice", AccessKeyID: "AKIAALICE00000000000", SecretAccessKey: "alices-secret", Policy: cloudsim.Allow("logs:*"),
}

// rig is a running simulator and alice's clients. Its clock stands still at the time of its start.
type rig struct {
	*cloudsim.Simulator
	url   string
	clock *clocktesting.FakePassiveClock
	logs  *cloudwatchlogs.Client
	sts   *sts.Client
}

func start(t *testing.T, options cloudsim.Options) *rig {
	t.Helper()
	clock := nowClock()
	options.Clock = clock
	options.Users = append(options.Users, alice)
	sim := cloudsim.New(options)
	url, stop, err := sim.Start(t.Context(), "127.0.0.1:0")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(stop)
	r := &rig{Simulator: sim, url: url, clock: clock}
	r.logs, r.sts = clients(url, region, keys(alice))
	return r
}

// nowClock stands still at the present, in the milliseconds of CloudWatch Logs.
func nowClock() *clocktesting.FakePassiveClock {
	return clocktesting.NewFakePassiveClock(time.Now().Truncate(time.Millisecond))
}

// startWithStream is start with the group and the stream made.
func startWithStream(t *testing.T, options cloudsim.Options) *rig {
	t.Helper()
	r := start(t, options)
	makeStream(t, r.logs)
	return r
}

// makeStream makes the group and the stream of the tests.
func makeStream(t *testing.T, client *cloudwatchlogs.Client) {
	t.Helper()
	g := NewWithT(t)
	_, err := client.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(group)})
	g.Expect(err).NotTo(HaveOccurred())
	_, err = client.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: aws.String(group), LogStreamName: aws.String(stream)})
	g.Expect(err).NotTo(HaveOccurred())
}

func keys(user cloudsim.User) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(user.AccessKeyID, user.SecretAccessKey, "")
}

// clients are the real SDK's, without retries.
func clients(url, region string, provider aws.CredentialsProvider) (*cloudwatchlogs.Client, *sts.Client) {
	config := aws.Config{
		Region: region, BaseEndpoint: &url, Credentials: provider,
		Retryer: func() aws.Retryer { return aws.NopRetryer{} },
	}
	return cloudwatchlogs.NewFromConfig(config), sts.NewFromConfig(config)
}

// at makes log events with the times that lie so far from the rig's now.
func (r *rig) at(offsets ...time.Duration) []types.InputLogEvent {
	var events []types.InputLogEvent
	for _, offset := range offsets {
		events = append(events, types.InputLogEvent{
			Timestamp: aws.Int64(r.clock.Now().Add(offset).UnixMilli()), Message: aws.String(offset.String()),
		})
	}
	return events
}

// sized makes n log events of the present whose messages have so many bytes.
func (r *rig) sized(n, bytes int) []types.InputLogEvent {
	events := make([]types.InputLogEvent, n)
	for i := range events {
		events[i] = types.InputLogEvent{
			Timestamp: aws.Int64(r.clock.Now().UnixMilli()), Message: aws.String(strings.Repeat("x", bytes)),
		}
	}
	return events
}

func (r *rig) put(ctx context.Context, events []types.InputLogEvent) (*cloudwatchlogs.PutLogEventsOutput, error) {
	return put(ctx, r.logs, events)
}

func put(ctx context.Context, client *cloudwatchlogs.Client, events []types.InputLogEvent) (*cloudwatchlogs.PutLogEventsOutput, error) {
	return client.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{
		LogGroupName: aws.String(group), LogStreamName: aws.String(stream), LogEvents: events,
	})
}

// messages are what the simulator stored, in order.
func (r *rig) messages() []string {
	var messages []string
	for _, event := range r.Events(region, group, stream) {
		messages = append(messages, event.Message)
	}
	return messages
}
