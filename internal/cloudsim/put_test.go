package cloudsim_test

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
)

// TestPutLimits tries each limit that fails a whole call at its boundary.
func TestPutLimits(t *testing.T) {
	const day = 24 * time.Hour
	r := startWithStream(t, cloudsim.Options{})
	cases := map[string]struct {
		events []types.InputLogEvent
		code   string // "" when it is accepted
	}{
		"no events":                    {[]types.InputLogEvent{}, "InvalidParameterException"},
		"9,999 events":                 {r.sized(9_999, 1), ""},
		"10,000 events":                {r.sized(10_000, 1), ""},
		"10,001 events":                {r.sized(10_001, 1), "InvalidParameterException"},
		"an empty message":             {r.sized(1, 0), "InvalidParameterException"},
		"a message of one byte":        {r.sized(1, 1), ""},
		"one byte below the largest":   {r.sized(1, 1<<20-27), ""},
		"the largest message":          {r.sized(1, 1<<20-26), ""},
		"one byte above the largest":   {r.sized(1, 1<<20-25), "InvalidParameterException"},
		"a batch one byte below 1 MiB": {append(r.sized(1, 500), r.sized(1, 1<<20-2*26-501)...), ""},
		"a batch of 1 MiB":             {append(r.sized(1, 500), r.sized(1, 1<<20-2*26-500)...), ""},
		"a batch one byte above 1 MiB": {append(r.sized(1, 500), r.sized(1, 1<<20-2*26-499)...), "InvalidParameterException"},
		"24 hours less 1 ms":           {r.at(-day+time.Millisecond, 0), ""},
		"24 hours":                     {r.at(-day, 0), ""},
		"24 hours and 1 ms":            {r.at(-day-time.Millisecond, 0), "InvalidParameterException"},
		"the same time twice":          {r.at(0, 0), ""},
		"a millisecond back":           {r.at(0, -time.Millisecond), "InvalidParameterException"},
		"a negative time":              {[]types.InputLogEvent{{Timestamp: aws.Int64(-1), Message: aws.String("m")}}, "InvalidParameterException"},
		"out of order but too old":     {r.at(-20*day, -30*day), "InvalidParameterException"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			before := len(r.messages())
			output, err := r.put(t.Context(), test.events)
			if test.code != "" {
				expectCode(g, err, test.code)
				g.Expect(r.messages()).To(HaveLen(before), "a refused call stored something")
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(output.RejectedLogEventsInfo).To(BeNil())
			g.Expect(r.messages()).To(HaveLen(before + len(test.events)))
		})
	}
}

// TestPutCountsUTF8 shows that bytes are counted after unescaping.
func TestPutCountsUTF8(t *testing.T) {
	g := NewWithT(t)
	r := startWithStream(t, cloudsim.Options{MaxMessageBytes: 8})
	present := r.sized(1, 1)[0].Timestamp
	_, err := r.put(t.Context(), []types.InputLogEvent{{Timestamp: present, Message: aws.String("\"\n😀é")}})
	g.Expect(err).NotTo(HaveOccurred(), "these are 1 + 1 + 4 + 2 bytes")
	_, err = r.put(t.Context(), []types.InputLogEvent{{Timestamp: present, Message: aws.String("\"\n😀é!")}})
	expectCode(g, err, "InvalidParameterException")
	g.Expect(err).To(MatchError(ContainSubstring("35 bytes exceeds limit of 34")))
	g.Expect(r.messages()).To(Equal([]string{"\"\n😀é"}))
}

// TestPutRejects shows what is rejected inside a success, with the meaning of each index.
func TestPutRejects(t *testing.T) {
	const day, ms = 24 * time.Hour, time.Millisecond
	cases := map[string]struct {
		retention      int32
		offsets        []time.Duration
		stored         int
		tooNew, tooOld int // -1 when absent
		expired        int
	}{
		"exactly 2 hours ahead":        {0, []time.Duration{0, 2 * time.Hour}, 2, -1, -1, -1},
		"1 ms more than 2 hours ahead": {0, []time.Duration{0, 2*time.Hour + ms}, 1, 1, -1, -1},
		"all too new":                  {0, []time.Duration{3 * time.Hour, 4 * time.Hour}, 0, 0, -1, -1},
		"exactly 14 days old":          {0, []time.Duration{-14 * day}, 1, -1, -1, -1},
		"1 ms more than 14 days old":   {0, []time.Duration{-14*day - ms}, 0, -1, 1, -1},
		"the write probe":              {0, []time.Duration{-15 * day}, 0, -1, 1, -1},
		"two old, one good, one new":   {0, []time.Duration{-20 * day, -15 * day, 0, 3 * time.Hour}, 1, 3, 2, -1},
		"exactly at the retention":     {3, []time.Duration{-3 * day}, 1, -1, -1, -1},
		"1 ms past the retention":      {3, []time.Duration{-3*day - ms, -3*day + ms}, 1, -1, -1, 1},
		"past retention and too old":   {7, []time.Duration{-15 * day, -8 * day, 0}, 1, -1, 1, 2},
		"too old and within retention": {365, []time.Duration{-15 * day, 0}, 1, -1, 1, -1},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			r := startWithStream(t, cloudsim.Options{})
			if test.retention > 0 {
				_, err := r.logs.PutRetentionPolicy(t.Context(), &cloudwatchlogs.PutRetentionPolicyInput{
					LogGroupName: aws.String(group), RetentionInDays: &test.retention,
				})
				g.Expect(err).NotTo(HaveOccurred())
			}
			output, err := r.put(t.Context(), r.at(test.offsets...))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(r.messages()).To(HaveLen(test.stored))
			g.Expect(r.Counts("PutLogEvents").Events).To(Equal(test.stored))
			info := output.RejectedLogEventsInfo
			if info == nil {
				info = &types.RejectedLogEventsInfo{}
			}
			g.Expect([]int{index(info.TooNewLogEventStartIndex), index(info.TooOldLogEventEndIndex), index(info.ExpiredLogEventEndIndex)}).
				To(Equal([]int{test.tooNew, test.tooOld, test.expired}))
		})
	}
}

func index(i *int32) int {
	if i == nil {
		return -1
	}
	return int(*i)
}

func TestPutIntoWhatIsMissing(t *testing.T) {
	g := NewWithT(t)
	r := start(t, cloudsim.Options{})
	_, err := r.put(t.Context(), r.at(0))
	expectCode(g, err, "ResourceNotFoundException")
	g.Expect(err).To(MatchError(ContainSubstring("log group")))
	_, err = r.logs.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(group)})
	g.Expect(err).NotTo(HaveOccurred())
	_, err = r.put(t.Context(), r.at(0))
	expectCode(g, err, "ResourceNotFoundException")
	g.Expect(err).To(MatchError(ContainSubstring("log stream")))
}

// TestPutGzip sends a compressed body that the SDK signs.
func TestPutGzip(t *testing.T) {
	g := NewWithT(t)
	r := startWithStream(t, cloudsim.Options{})
	message := strings.Repeat("squeeze me ", 1000)
	_, err := r.logs.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{
		LogGroupName: aws.String(group), LogStreamName: aws.String(stream),
		LogEvents: []types.InputLogEvent{{Timestamp: aws.Int64(r.clock.Now().UnixMilli()), Message: &message}},
	}, cloudwatchlogs.WithAPIOptions(compressBody))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(r.messages()).To(Equal([]string{message}))
	counts := r.Counts("PutLogEvents")
	g.Expect(counts.BodyBytes).To(BeNumerically(">", len(message)))
	g.Expect(counts.WireBytes).To(BeNumerically("<", len(message)/10))
}

// compressBody compresses what the SDK has serialized, before it computes length and signature.
func compressBody(stack *middleware.Stack) error {
	return stack.Serialize.Add(middleware.SerializeMiddlewareFunc("gzip", func(
		ctx middlewareContext, in middleware.SerializeInput, next middleware.SerializeHandler,
	) (middleware.SerializeOutput, middleware.Metadata, error) {
		request := in.Request.(*smithyhttp.Request)
		var packed bytes.Buffer
		writer := gzip.NewWriter(&packed)
		if _, err := writer.Write(streamBytes(request)); err != nil {
			return middleware.SerializeOutput{}, middleware.Metadata{}, err
		}
		if err := writer.Close(); err != nil {
			return middleware.SerializeOutput{}, middleware.Metadata{}, err
		}
		request, err := request.SetStream(bytes.NewReader(packed.Bytes()))
		if err != nil {
			return middleware.SerializeOutput{}, middleware.Metadata{}, err
		}
		request.Header.Set("Content-Encoding", "gzip")
		in.Request = request
		return next.HandleSerialize(ctx, in)
	}), middleware.After)
}

func TestPutDiscards(t *testing.T) {
	g := NewWithT(t)
	r := startWithStream(t, cloudsim.Options{Discard: true})
	_, err := r.put(t.Context(), r.sized(10, 5))
	g.Expect(err).NotTo(HaveOccurred())
	_, err = r.put(t.Context(), r.sized(1, 0))
	expectCode(g, err, "InvalidParameterException")
	g.Expect(r.messages()).To(BeEmpty())
	g.Expect(r.Counts("PutLogEvents").Events).To(Equal(10))
}
