package cloudsim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
)

// BenchmarkPutLogEvents sends full batches of 1.4 KB events with the SDK, client and simulator on the same cores.
func BenchmarkPutLogEvents(b *testing.B) {
	sim := cloudsim.New(cloudsim.Options{Users: []cloudsim.User{alice}, Discard: true})
	url, stop, err := sim.Start(b.Context(), "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer stop()
	logs, _ := clients(url, region, keys(alice))
	if _, err := logs.CreateLogGroup(b.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(group)}); err != nil {
		b.Fatal(err)
	}
	if _, err := logs.CreateLogStream(b.Context(), &cloudwatchlogs.CreateLogStreamInput{
		LogGroupName: aws.String(group), LogStreamName: aws.String(stream),
	}); err != nil {
		b.Fatal(err)
	}
	message := `{"actor":"alice","value":"` + strings.Repeat(`a "quoted" word `, 85) + `"}`
	events := make([]types.InputLogEvent, 730)
	for i := range events {
		events[i] = types.InputLogEvent{Timestamp: aws.Int64(time.Now().UnixMilli()), Message: &message}
	}
	for b.Loop() {
		if _, err := put(b.Context(), logs, events); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(sim.Counts("PutLogEvents").Events)/b.Elapsed().Seconds(), "events/s")
}
