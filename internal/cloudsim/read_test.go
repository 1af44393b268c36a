package cloudsim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
)

// TestHappyPath is a trail's life: group, stream, events, read back, retention, deletion.
func TestHappyPath(t *testing.T) {
	g := NewWithT(t)
	r := startWithStream(t, cloudsim.Options{})
	_, err := r.put(t.Context(), r.at(-time.Hour, 0))
	g.Expect(err).NotTo(HaveOccurred())
	_, err = r.put(t.Context(), r.at(-2*time.Hour))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(r.messages()).To(Equal([]string{"-1h0m0s", "0s", "-2h0m0s"}), "in the order of arrival")
	g.Expect(r.Events(region, group, stream)[0].IngestionTime).To(Equal(r.clock.Now().UnixMilli()))
	g.Expect(r.Events("us-east-1", group, stream)).To(BeNil())

	read, err := r.logs.GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String(group), LogStreamName: aws.String(stream)})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(texts(read.Events)).To(Equal([]string{"-2h0m0s", "-1h0m0s", "0s"}), "in the order of time")

	_, err = r.logs.PutRetentionPolicy(t.Context(), &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String(group), RetentionInDays: aws.Int32(365)})
	g.Expect(err).NotTo(HaveOccurred())
	groups, err := r.logs.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("/audit")})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(groups.LogGroups).To(HaveLen(1))
	g.Expect(*groups.LogGroups[0].RetentionInDays).To(Equal(int32(365)))
	g.Expect(*groups.LogGroups[0].Arn).To(Equal("arn:aws:logs:eu-west-1:123456789012:log-group:/audit/prod:*"))
	streams, err := r.logs.DescribeLogStreams(t.Context(), &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: aws.String(group)})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(*streams.LogStreams[0].FirstEventTimestamp).To(Equal(r.clock.Now().Add(-2 * time.Hour).UnixMilli()))
	g.Expect(*streams.LogStreams[0].LastEventTimestamp).To(Equal(r.clock.Now().UnixMilli()))

	_, err = r.logs.DeleteLogStream(t.Context(), &cloudwatchlogs.DeleteLogStreamInput{LogGroupName: aws.String(group), LogStreamName: aws.String(stream)})
	g.Expect(err).NotTo(HaveOccurred())
	_, err = r.put(t.Context(), r.at(0))
	expectCode(g, err, "ResourceNotFoundException")
	_, err = r.logs.DeleteLogGroup(t.Context(), &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: aws.String(group)})
	g.Expect(err).NotTo(HaveOccurred())
	_, err = r.logs.DescribeLogStreams(t.Context(), &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: aws.String(group)})
	expectCode(g, err, "ResourceNotFoundException")
}

func texts(events []types.OutputLogEvent) []string {
	var texts []string
	for _, event := range events {
		texts = append(texts, *event.Message)
	}
	return texts
}

func TestNames(t *testing.T) {
	r := startWithStream(t, cloudsim.Options{})
	names := map[string]struct{ asGroup, asStream bool }{
		"a":                      {true, true},
		"A-z_0.9/#":              {true, true},
		"aws/audit":              {false, true},
		"/aws/audit":             {true, true},
		"a b":                    {false, true},
		"ü":                      {false, true},
		"a:b":                    {false, false},
		"a*b":                    {false, false},
		strings.Repeat("x", 512): {true, true},
		strings.Repeat("x", 513): {false, false},
	}
	for name, test := range names {
		t.Run(fmt.Sprintf("%.20s %d", name, len(name)), func(t *testing.T) {
			g := NewWithT(t)
			_, err := r.logs.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &name})
			expectName(g, err, test.asGroup)
			_, err = r.logs.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: aws.String(group), LogStreamName: &name})
			expectName(g, err, test.asStream)
		})
	}
}

func expectName(g *WithT, err error, valid bool) {
	if valid {
		g.ExpectWithOffset(1, err).NotTo(HaveOccurred())
		return
	}
	expectCode(g, err, "InvalidParameterException")
}

// TestGetLogEventsPages walks a stream in both directions until the token stays the same.
func TestGetLogEventsPages(t *testing.T) {
	for _, forward := range []bool{true, false} {
		t.Run(fmt.Sprint("forward ", forward), func(t *testing.T) {
			g := NewWithT(t)
			r := startWithStream(t, cloudsim.Options{})
			_, err := r.put(t.Context(), r.at(-4, -3, -2, -1, 0))
			g.Expect(err).NotTo(HaveOccurred())
			input := &cloudwatchlogs.GetLogEventsInput{
				LogGroupName: aws.String(group), LogStreamName: aws.String(stream), Limit: aws.Int32(2), StartFromHead: &forward,
			}
			var pages [][]string
			for range 10 {
				output, err := r.logs.GetLogEvents(t.Context(), input)
				g.Expect(err).NotTo(HaveOccurred())
				next := output.NextBackwardToken
				if forward {
					next = output.NextForwardToken
				}
				if input.NextToken != nil && *next == *input.NextToken {
					break
				}
				pages, input.NextToken = append(pages, texts(output.Events)), next
			}
			want := [][]string{{"-4ns", "-3ns"}, {"-2ns", "-1ns"}, {"0s"}}
			if !forward {
				want = [][]string{{"-1ns", "0s"}, {"-3ns", "-2ns"}, {"-4ns"}}
			}
			g.Expect(pages).To(Equal(want))
		})
	}
}

// TestTimeRanges shows whose end is inclusive: that of FilterLogEvents, not that of GetLogEvents.
func TestTimeRanges(t *testing.T) {
	g := NewWithT(t)
	r := startWithStream(t, cloudsim.Options{})
	_, err := r.put(t.Context(), r.at(-3*time.Second, -2*time.Second, -time.Second, 0))
	g.Expect(err).NotTo(HaveOccurred())
	from, to := aws.Int64(r.clock.Now().Add(-2*time.Second).UnixMilli()), aws.Int64(r.clock.Now().Add(-time.Second).UnixMilli())
	got, err := r.logs.GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: aws.String(group), LogStreamName: aws.String(stream), StartTime: from, EndTime: to,
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(texts(got.Events)).To(Equal([]string{"-2s"}))
	filtered, err := r.logs.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: aws.String(group), StartTime: from, EndTime: to,
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(filtered.Events).To(HaveLen(2))
}

// TestFilterLogEvents merges streams by time, page by page.
func TestFilterLogEvents(t *testing.T) {
	g := NewWithT(t)
	r := startWithStream(t, cloudsim.Options{})
	other := "cluster-b"
	_, err := r.logs.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: aws.String(group), LogStreamName: &other})
	g.Expect(err).NotTo(HaveOccurred())
	for name, offsets := range map[string][]time.Duration{stream: {-4 * time.Second, -2 * time.Second}, other: {-3 * time.Second, -time.Second}} {
		_, err := r.logs.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: aws.String(group), LogStreamName: &name, LogEvents: r.at(offsets...)})
		g.Expect(err).NotTo(HaveOccurred())
	}
	cases := map[string]struct {
		change func(*cloudwatchlogs.FilterLogEventsInput)
		want   []string
	}{
		"all":          {func(*cloudwatchlogs.FilterLogEventsInput) {}, []string{"-4s", "-3s", "-2s", "-1s"}},
		"pages of one": {func(i *cloudwatchlogs.FilterLogEventsInput) { i.Limit = aws.Int32(1) }, []string{"-4s", "-3s", "-2s", "-1s"}},
		"one stream":   {func(i *cloudwatchlogs.FilterLogEventsInput) { i.LogStreamNames = []string{other} }, []string{"-3s", "-1s"}},
		"a prefix":     {func(i *cloudwatchlogs.FilterLogEventsInput) { i.LogStreamNamePrefix = aws.String("cluster-a") }, []string{"-4s", "-2s"}},
		"a term":       {func(i *cloudwatchlogs.FilterLogEventsInput) { i.FilterPattern = aws.String(`"3s"`) }, []string{"-3s"}},
		"either term":  {func(i *cloudwatchlogs.FilterLogEventsInput) { i.FilterPattern = aws.String(`?3s ?1s`) }, []string{"-3s", "-1s"}},
		"not a term":   {func(i *cloudwatchlogs.FilterLogEventsInput) { i.FilterPattern = aws.String(`s -3s`) }, []string{"-4s", "-2s", "-1s"}},
		"newest first": {func(i *cloudwatchlogs.FilterLogEventsInput) { i.StartFromHead = aws.Bool(false) }, []string{"-1s", "-2s", "-3s", "-4s"}},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			input := &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String(group)}
			test.change(input)
			var got []string
			pages := cloudwatchlogs.NewFilterLogEventsPaginator(r.logs, input)
			for pages.HasMorePages() {
				output, err := pages.NextPage(t.Context())
				g.Expect(err).NotTo(HaveOccurred())
				for _, event := range output.Events {
					got = append(got, *event.Message)
				}
			}
			g.Expect(got).To(Equal(test.want))
		})
	}
	_, err = r.logs.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String(group), FilterPattern: aws.String("{ $.a = 1 }")})
	expectCode(g, err, "InvalidParameterException")
}

// TestDescribePages shows the pages of 50 and the orders of DescribeLogStreams.
func TestDescribePages(t *testing.T) {
	g := NewWithT(t)
	r := startWithStream(t, cloudsim.Options{})
	for i := range 60 {
		_, err := r.logs.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{
			LogGroupName: aws.String(group), LogStreamName: aws.String(fmt.Sprintf("s-%02d", i)),
		})
		g.Expect(err).NotTo(HaveOccurred())
	}
	_, err := r.put(t.Context(), r.at(0))
	g.Expect(err).NotTo(HaveOccurred())
	first, err := r.logs.DescribeLogStreams(t.Context(), &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: aws.String(group), LogStreamNamePrefix: aws.String("s-")})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(first.LogStreams).To(HaveLen(50))
	rest, err := r.logs.DescribeLogStreams(t.Context(), &cloudwatchlogs.DescribeLogStreamsInput{
		LogGroupIdentifier: aws.String("arn:aws:logs:eu-west-1:123456789012:log-group:" + group), LogStreamNamePrefix: aws.String("s-"), NextToken: first.NextToken,
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(rest.LogStreams).To(HaveLen(10))
	g.Expect(rest.NextToken).To(BeNil())
	latest, err := r.logs.DescribeLogStreams(t.Context(), &cloudwatchlogs.DescribeLogStreamsInput{
		LogGroupName: aws.String(group), OrderBy: types.OrderByLastEventTime, Descending: aws.Bool(true), Limit: aws.Int32(1),
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(*latest.LogStreams[0].LogStreamName).To(Equal(stream))
	_, err = r.logs.DescribeLogStreams(t.Context(), &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: aws.String(group), Limit: aws.Int32(51)})
	expectCode(g, err, "InvalidParameterException")
}
