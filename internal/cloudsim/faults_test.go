package cloudsim_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
)

func TestFaultCodes(t *testing.T) {
	cases := map[string]struct {
		fault           cloudsim.Fault
		logsCode, stsIs string
		status          int
	}{
		"throttle":    {cloudsim.Fault{Effect: cloudsim.Throttle}, "ThrottlingException", "Throttling", 400},
		"unavailable": {cloudsim.Fault{Effect: cloudsim.Unavailable}, "ServiceUnavailableException", "ServiceUnavailable", 503},
		"quota":       {cloudsim.Fault{Effect: cloudsim.Fail, Code: "LimitExceededException"}, "LimitExceededException", "LimitExceededException", 400},
		"concurrent":  {cloudsim.Fault{Effect: cloudsim.Fail, Code: "OperationAbortedException", Status: 409}, "OperationAbortedException", "OperationAbortedException", 409},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			r := startWithStream(t, cloudsim.Options{})
			remove := r.Inject(test.fault)
			_, err := r.put(t.Context(), r.at(0))
			expectCode(g, err, test.logsCode)
			expectStatus(g, err, test.status)
			_, err = r.sts.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
			expectCode(g, err, test.stsIs)
			expectStatus(g, err, test.status)
			g.Expect(r.messages()).To(BeEmpty())
			remove()
			_, err = r.put(t.Context(), r.at(0))
			g.Expect(err).NotTo(HaveOccurred())
		})
	}
}

func expectStatus(g *WithT, err error, status int) {
	var response *awshttp.ResponseError
	g.ExpectWithOffset(1, errors.As(err, &response)).To(BeTrue(), "%v", err)
	g.ExpectWithOffset(1, response.HTTPStatusCode()).To(Equal(status))
}

// TestFaultPage shows an answer that no AWS service gave.
func TestFaultPage(t *testing.T) {
	g := NewWithT(t)
	r := startWithStream(t, cloudsim.Options{})
	r.Inject(cloudsim.Fault{Effect: cloudsim.Fail, Status: 502})
	_, err := r.put(t.Context(), r.at(0))
	g.Expect(err).To(HaveOccurred())
	expectStatus(g, err, 502)
}

// TestFaultScope shows whom a fault concerns, and for how many calls.
func TestFaultScope(t *testing.T) {
	g := NewWithT(t)
	r := startWithStream(t, cloudsim.Options{})
	r.Inject(cloudsim.Fault{Action: "PutLogEvents", Group: "/other", Effect: cloudsim.Throttle})
	r.Inject(cloudsim.Fault{Action: "PutLogEvents", Stream: "other", Effect: cloudsim.Throttle})
	r.Inject(cloudsim.Fault{Action: "DescribeLogGroups", Effect: cloudsim.Throttle})
	_, err := r.put(t.Context(), r.at(0))
	g.Expect(err).NotTo(HaveOccurred())
	r.Inject(cloudsim.Fault{Action: "PutLogEvents", Group: group, Stream: stream, Effect: cloudsim.Throttle, Times: 2})
	for range 2 {
		_, err = r.put(t.Context(), r.at(0))
		expectCode(g, err, "ThrottlingException")
	}
	_, err = r.put(t.Context(), r.at(0))
	g.Expect(err).NotTo(HaveOccurred())
	_, err = r.logs.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{})
	expectCode(g, err, "ThrottlingException")
	r.ClearFaults()
	_, err = r.logs.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(r.Calls("PutLogEvents")).To(Equal(4))
	g.Expect(r.Calls("")).To(Equal(8), "two that made the stream, four puts and two reads")
}

// TestFaultConnections shows what becomes of the events when the connection breaks.
func TestFaultConnections(t *testing.T) {
	cases := map[string]struct {
		effect cloudsim.Effect
		is     error
		stored int
	}{
		"reset": {cloudsim.Reset, syscall.ECONNRESET, 0},
		"drop":  {cloudsim.Drop, io.EOF, 1},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			r := startWithStream(t, cloudsim.Options{})
			r.Inject(cloudsim.Fault{Action: "PutLogEvents", Effect: test.effect, Times: 1})
			_, err := r.put(t.Context(), r.at(0))
			g.Expect(err).To(MatchError(test.is))
			g.Expect(r.messages()).To(HaveLen(test.stored))
			_, err = r.put(t.Context(), r.at(0))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(r.messages()).To(HaveLen(test.stored + 1))
		})
	}
}

// TestFaultHang shows that a call hangs until its client gives up, and is not done.
func TestFaultHang(t *testing.T) {
	g := NewWithT(t)
	r := startWithStream(t, cloudsim.Options{})
	r.Inject(cloudsim.Fault{Action: "PutLogEvents", Effect: cloudsim.Hang})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := r.put(ctx, r.at(0))
		done <- err
	}()
	g.Eventually(func() int { return r.Calls("PutLogEvents") }).WithTimeout(10 * time.Second).Should(Equal(1))
	g.Consistently(done).WithTimeout(50 * time.Millisecond).ShouldNot(Receive())
	cancel()
	g.Eventually(done).WithTimeout(10 * time.Second).Should(Receive(MatchError(context.Canceled)))
	g.Expect(r.messages()).To(BeEmpty())
}

// TestStopEndsHangs shows that stopping does not wait for a client that waits.
func TestStopEndsHangs(t *testing.T) {
	g := NewWithT(t)
	sim := cloudsim.New(cloudsim.Options{Users: []cloudsim.User{alice}})
	url, stop, err := sim.Start(t.Context(), "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	sim.Inject(cloudsim.Fault{Effect: cloudsim.Hang})
	logs, _ := clients(url, region, keys(alice))
	done := make(chan error, 1)
	go func() {
		_, err := logs.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{})
		done <- err
	}()
	g.Eventually(func() int { return sim.Calls("DescribeLogGroups") }).WithTimeout(10 * time.Second).Should(Equal(1))
	stop()
	stop()
	g.Eventually(done).WithTimeout(10 * time.Second).Should(Receive(HaveOccurred()))
}

// TestFaultSlowBody shows that the answer begins at once, and comes in full to who waits. It needs plain net/http: when
// headers come this fast, smithy's client closes the request's body while net/http still looks for its end, which at
// times makes net/http give up the connection before the answer is read.
func TestFaultSlowBody(t *testing.T) {
	g := NewWithT(t)
	r := start(t, cloudsim.Options{})
	send := func(ctx context.Context) (status int, answer string, err error) {
		body := strings.NewReader("Action=AssumeRoleWithWebIdentity")
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, body)
		g.Expect(err).NotTo(HaveOccurred())
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		response, err := http.DefaultClient.Do(request)
		g.Expect(err).NotTo(HaveOccurred(), "the headers were to come at once")
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		return response.StatusCode, string(text), err
	}
	_, want, err := send(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	remove := r.Inject(cloudsim.Fault{Effect: cloudsim.SlowBody, Delay: time.Microsecond})
	status, got, err := send(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(status).To(Equal(http.StatusBadRequest))
	g.Expect(withoutID(got)).To(Equal(withoutID(want)))

	remove()
	r.Inject(cloudsim.Fault{Effect: cloudsim.SlowBody, Delay: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, got, err = send(ctx)
	g.Expect(err).To(MatchError(context.DeadlineExceeded))
	g.Expect(got).To(BeEmpty())
}

// withoutID is an answer of STS up to the request's id.
func withoutID(answer string) string {
	before, _, _ := strings.Cut(answer, "<RequestId>")
	return before
}

// TestFaultSlowBodyIsDone shows that the SDK sees an error of what was done.
func TestFaultSlowBodyIsDone(t *testing.T) {
	g := NewWithT(t)
	r := startWithStream(t, cloudsim.Options{})
	r.Inject(cloudsim.Fault{Effect: cloudsim.SlowBody, Delay: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := r.put(ctx, r.at(0))
	g.Expect(err).To(HaveOccurred())
	expectStatus(g, err, http.StatusOK)
	g.Expect(r.messages()).To(HaveLen(1))
}

func TestOnCall(t *testing.T) {
	g := NewWithT(t)
	var mu sync.Mutex
	var seen []cloudsim.Call
	r := startWithStream(t, cloudsim.Options{OnCall: func(c cloudsim.Call) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, c)
	}})
	r.Inject(cloudsim.Fault{Action: "DeleteLogStream", Effect: cloudsim.Throttle})
	_, err := r.logs.DeleteLogStream(t.Context(), &cloudwatchlogs.DeleteLogStreamInput{LogGroupName: aws.String(group), LogStreamName: aws.String(stream)})
	expectCode(g, err, "ThrottlingException")
	_, err = r.put(t.Context(), r.at(0))
	g.Expect(err).NotTo(HaveOccurred())
	mu.Lock()
	defer mu.Unlock()
	g.Expect(seen).To(HaveLen(4))
	g.Expect(seen[3].Put.Timestamps).To(HaveLen(1))
	g.Expect(seen[3].Put.Bytes).To(BeNumerically(">", 26))
	g.Expect(seen[3].Put.At).To(BeTemporally("~", time.UnixMilli(seen[3].Put.Timestamps[0]), time.Minute))
	g.Expect(seen[1]).To(Equal(cloudsim.Call{Action: "CreateLogStream", Region: region, Group: group, Stream: stream, Caller: aliceARN}))
	g.Expect(seen[2].Code).To(Equal("ThrottlingException"))
	g.Expect(seen[2].Fault).To(Equal(cloudsim.Throttle))
}
