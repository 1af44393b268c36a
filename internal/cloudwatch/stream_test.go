package cloudwatch

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/awsauth"
	"github.com/trailkeeper/trailkeeper/internal/awsauth/awstest"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

func testTrail() *v1alpha1.AuditTrail {
	return &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "changes", UID: "u1", Generation: 1},
		Spec: v1alpha1.AuditTrailSpec{
			Type: v1alpha1.TrailTypeCloudWatch,
			CloudWatch: &v1alpha1.CloudWatchDestination{
				Region: "eu-west-1", LogGroupName: "/audit", LogStreamName: "foo",
				Auth: v1alpha1.Auth{Credentials: &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "aws"}}},
			},
		},
	}
}

// newOpener is one that finds the keys of testTrail.
func newOpener() *Opener {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "aws"},
		Data:       map[string][]byte{"AWS_ACCESS_KEY_ID": []byte("AKIA1"), "AWS_SECRET_ACCESS_KEY": []byte("s")},
	}
	c := fake.NewClientBuilder().WithObjects(secret).Build()
	auth := awsauth.New(awsauth.Options{Reader: c, Tokens: c, OperatorNamespace: "trailkeeper-system", ClusterID: "c1"})
	return NewOpener(auth, "c1")
}

func openStream(t *testing.T, trail *v1alpha1.AuditTrail) *Stream {
	t.Helper()
	stream, err := newOpener().Open(t.Context(), trail)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func streams(names ...string) awstest.Answer {
	var list []string
	for _, name := range names {
		list = append(list, fmt.Sprintf(`{"logStreamName":%q,"arn":"arn:aws:logs:eu-west-1:123456789012:log-group:/audit:log-stream:%s"}`, name, name))
	}
	return awstest.Answer{Body: `{"logStreams":[` + strings.Join(list, ",") + `]}`}
}

func TestEnsureFindsTheStreamByItsExactName(t *testing.T) {
	g := NewWithT(t)
	server := awstest.Start(t)
	stream := openStream(t, testTrail())

	server.On("DescribeLogStreams", func(awstest.Call) awstest.Answer { return streams("foo-bar", "foo") })
	observed, err := stream.Ensure(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(observed).To(Equal(Observed{LogGroupARN: "arn:aws:logs:eu-west-1:123456789012:log-group:/audit"}))
	g.Expect(server.Calls("CreateLogStream")).To(BeEmpty())

	server.On("DescribeLogStreams", func(awstest.Call) awstest.Answer { return streams("foo-bar") })
	observed, err = stream.Ensure(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(observed.StreamCreated).To(BeTrue())
	g.Expect(observed.GroupCreated).To(BeFalse())
	g.Expect(server.Calls("CreateLogStream")).To(HaveLen(1))
}

func TestEnsureReadsFurtherPages(t *testing.T) {
	g := NewWithT(t)
	server := awstest.Start(t)
	server.On("DescribeLogStreams", func(c awstest.Call) awstest.Answer {
		if strings.Contains(c.Body, "page2") {
			return streams("foo")
		}
		first := streams("foo-bar")
		first.Body = strings.TrimSuffix(first.Body, "}") + `,"nextToken":"page2"}`
		return first
	})
	observed, err := openStream(t, testTrail()).Ensure(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(observed.StreamCreated).To(BeFalse())
	g.Expect(server.Calls("DescribeLogStreams")).To(HaveLen(2))
}

func TestEnsureCreatesTheGroupByPolicy(t *testing.T) {
	g := NewWithT(t)
	server := awstest.Start(t)
	server.Fail("DescribeLogStreams", "ResourceNotFoundException")
	busy := 2
	server.On("CreateLogGroup", func(awstest.Call) awstest.Answer {
		if busy--; busy >= 0 {
			return awstest.Answer{Code: "OperationAbortedException"}
		}
		return awstest.Answer{Code: "ResourceAlreadyExistsException"}
	})

	observed, err := openStream(t, testTrail()).Ensure(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(observed.GroupCreated).To(BeFalse(), "somebody else made it in between")
	g.Expect(observed.StreamCreated).To(BeTrue())
	g.Expect(server.Calls("CreateLogGroup")).To(HaveLen(3))

	never := testTrail()
	never.Spec.CloudWatch.LogGroupCreationPolicy = v1alpha1.LogGroupCreationNever
	_, err = openStream(t, never).Ensure(t.Context())
	g.Expect(fault.ReasonOf(err)).To(Equal(v1alpha1.ReasonLogGroupNotFound))
	g.Expect(server.Calls("CreateLogGroup")).To(HaveLen(3))
}

func TestPutAccountsForRejectedRecords(t *testing.T) {
	g := NewWithT(t)
	server := awstest.Start(t)
	server.On("PutLogEvents", func(awstest.Call) awstest.Answer {
		return awstest.Answer{Body: `{"rejectedLogEventsInfo":{"tooOldLogEventEndIndex":1,"tooNewLogEventStartIndex":3}}`}
	})
	stream := openStream(t, testTrail())
	result, err := stream.Put(t.Context(), repeat(4, Record{Time: 7, Message: []byte(`{"id":"x"}`)}))
	g.Expect(err).NotTo(HaveOccurred())
	calls := server.Calls("PutLogEvents")
	g.Expect(calls).To(HaveLen(1))
	sent := len(calls[0].Body)
	g.Expect(result).To(Equal(PutResult{TooOld: 1, TooNew: 1, Accepted: 2, BodyBytes: sent, WireBytes: sent}))
	g.Expect(calls[0].KeyID).To(Equal("AKIA1"))
	g.Expect(calls[0].Body).To(ContainSubstring(`\"id\":\"x\"`))
}

// TestPutCompressed: what is sent is a part of what there is to say, and says all of it.
func TestPutCompressed(t *testing.T) {
	g := NewWithT(t)
	server := awstest.Start(t)
	opener := newOpener()
	opener.Compress = true
	stream, err := opener.Open(t.Context(), testTrail())
	g.Expect(err).NotTo(HaveOccurred())
	result, err := stream.Put(t.Context(), repeat(40, Record{Time: 7, Message: typicalRecord()}))
	g.Expect(err).NotTo(HaveOccurred())
	sent := server.Calls("PutLogEvents")[0].Body
	g.Expect(result.WireBytes).To(Equal(len(sent)))
	plain := unpack(t, []byte(sent), true)
	g.Expect(result.BodyBytes).To(Equal(len(plain)))
	g.Expect(result.Accepted).To(Equal(40))
	var read call
	g.Expect(json.Unmarshal(plain, &read)).To(Succeed())
	g.Expect(read.LogEvents).To(HaveLen(40))
	g.Expect(read.LogEvents[39].Message).To(Equal(string(typicalRecord())))
}

func TestAccount(t *testing.T) {
	cases := map[string]struct {
		info *types.RejectedLogEventsInfo
		want PutResult
	}{
		"nothing rejected":         {nil, PutResult{Accepted: 10}},
		"expired beyond too old":   {&types.RejectedLogEventsInfo{TooOldLogEventEndIndex: aws.Int32(2), ExpiredLogEventEndIndex: aws.Int32(5)}, PutResult{TooOld: 2, Expired: 3, Accepted: 5}},
		"too old beyond expired":   {&types.RejectedLogEventsInfo{TooOldLogEventEndIndex: aws.Int32(5), ExpiredLogEventEndIndex: aws.Int32(2)}, PutResult{TooOld: 5, Accepted: 5}},
		"too new from the start":   {&types.RejectedLogEventsInfo{TooNewLogEventStartIndex: aws.Int32(0)}, PutResult{TooNew: 10}},
		"all too old":              {&types.RejectedLogEventsInfo{TooOldLogEventEndIndex: aws.Int32(10)}, PutResult{TooOld: 10}},
		"indexes out of bounds":    {&types.RejectedLogEventsInfo{TooOldLogEventEndIndex: aws.Int32(-3), TooNewLogEventStartIndex: aws.Int32(99)}, PutResult{Accepted: 10}},
		"crossing is counted once": {&types.RejectedLogEventsInfo{TooOldLogEventEndIndex: aws.Int32(6), TooNewLogEventStartIndex: aws.Int32(4)}, PutResult{TooOld: 6, TooNew: 4}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			got := account(10, c.info)
			g.Expect(got).To(Equal(c.want))
			g.Expect(got.Accepted + got.Rejected()).To(Equal(10))
		})
	}
}

func TestErrorsOfPut(t *testing.T) {
	cases := []struct {
		code   string
		status int
		reason string
		class  Class
	}{
		{"UnrecognizedClientException", 400, v1alpha1.ReasonInvalidAccessKey, ClassAuth},
		{"InvalidSignatureException", 400, v1alpha1.ReasonSignatureMismatch, ClassAuth},
		{"SignatureDoesNotMatch", 403, v1alpha1.ReasonSignatureMismatch, ClassAuth},
		{"ExpiredTokenException", 400, v1alpha1.ReasonTokenExpired, ClassAuth},
		{"AccessDeniedException", 400, v1alpha1.ReasonActionNotAllowed, ClassAuth},
		{"AccessDenied", 403, v1alpha1.ReasonActionNotAllowed, ClassAuth},
		{"ThrottlingException", 400, v1alpha1.ReasonThrottled, ClassThrottled},
		{"LimitExceededException", 400, v1alpha1.ReasonQuotaExceeded, ClassQuota},
		{"OperationAbortedException", 400, v1alpha1.ReasonLogGroupBusy, ClassTransient},
		{"ResourceNotFoundException", 400, v1alpha1.ReasonDestinationNotFound, ClassNotFound},
		{"InvalidParameterException", 400, v1alpha1.ReasonRecordRejected, ClassInvalid},
		{"SerializationException", 400, v1alpha1.ReasonRecordRejected, ClassInvalid},
		{"ValidationException", 400, v1alpha1.ReasonRecordRejected, ClassInvalid},
		{"RequestEntityTooLargeException", 413, v1alpha1.ReasonRecordRejected, ClassInvalid},
		{"ServiceUnavailableException", 503, v1alpha1.ReasonUnreachable, ClassTransient},
		{"NeverHeardOf", 400, v1alpha1.ReasonAWSError, ClassTransient},
		{"NeverHeardOf", 500, v1alpha1.ReasonUnreachable, ClassTransient},
	}
	for _, c := range cases {
		t.Run(fmt.Sprint(c.code, c.status), func(t *testing.T) {
			g := NewWithT(t)
			server := awstest.Start(t)
			server.On("PutLogEvents", func(awstest.Call) awstest.Answer { return awstest.Answer{Status: c.status, Code: c.code} })
			_, err := openStream(t, testTrail()).Put(t.Context(), []Record{{Time: 1, Message: []byte("x")}})
			g.Expect(fault.ReasonOf(err)).To(Equal(c.reason))
			g.Expect(ClassOf(fmt.Errorf("pushing: %w", err))).To(Equal(c.class))
			g.Expect(err.Error()).To(ContainSubstring("(" + c.code + " at logs:PutLogEvents)"))
			g.Expect(err.Error()).NotTo(ContainSubstring("request id"))
			g.Expect(server.Calls("PutLogEvents")).To(HaveLen(1), "the SDK must not retry by itself")
		})
	}
}
