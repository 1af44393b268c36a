package cloudsim_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
)

// middlewareContext only shortens signatures.
type middlewareContext = context.Context

func streamBytes(request *smithyhttp.Request) []byte {
	body, err := io.ReadAll(request.GetStream())
	if err != nil {
		panic(err)
	}
	return body
}

// expectCode expects an error that the SDK reads as this AWS error code.
func expectCode(g *WithT, err error, code string) {
	var known smithy.APIError
	g.ExpectWithOffset(1, errors.As(err, &known)).To(BeTrue(), "%v", err)
	g.ExpectWithOffset(1, known.ErrorCode()).To(Equal(code), "%v", err)
}

// callBoth asks both services something that needs a valid signature.
func callBoth(ctx context.Context, url, region string, provider aws.CredentialsProvider) (atLogs, atSTS error) {
	logs, security := clients(url, region, provider)
	_, atLogs = logs.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{})
	_, atSTS = security.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	return atLogs, atSTS
}

// TestSignatures has the server's rows of the table of situations and codes.
func TestSignatures(t *testing.T) {
	static := credentials.NewStaticCredentialsProvider
	cases := map[string]struct {
		provider        aws.CredentialsProvider
		region          string
		skew            time.Duration
		logsCode, stsIs string // "" for success
	}{
		"good":                {keys(alice), region, 0, "", ""},
		"other region":        {keys(alice), "us-east-1", 0, "UnrecognizedClientException", "RegionDisabledException"},
		"unknown key":         {static("AKIANOBODY", "x", ""), region, 0, "UnrecognizedClientException", "InvalidClientTokenId"},
		"wrong secret":        {static(alice.AccessKeyID, "wrong", ""), region, 0, "InvalidSignatureException", "SignatureDoesNotMatch"},
		"token too many":      {static(alice.AccessKeyID, alice.SecretAccessKey, "t"), region, 0, "UnrecognizedClientException", "InvalidClientTokenId"},
		"unsigned":            {aws.AnonymousCredentials{}, region, 0, "MissingAuthenticationTokenException", "MissingAuthenticationToken"},
		"4 minutes behind":    {keys(alice), region, 4 * time.Minute, "", ""},
		"6 minutes behind":    {keys(alice), region, 6 * time.Minute, "InvalidSignatureException", "SignatureDoesNotMatch"},
		"4 minutes ahead":     {keys(alice), region, -4 * time.Minute, "", ""},
		"6 minutes ahead":     {keys(alice), region, -6 * time.Minute, "InvalidSignatureException", "SignatureDoesNotMatch"},
		"a year on the shelf": {keys(alice), region, 365 * 24 * time.Hour, "InvalidSignatureException", "SignatureDoesNotMatch"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			r := start(t, cloudsim.Options{Regions: []string{region}})
			r.clock.SetTime(r.clock.Now().Add(test.skew))
			atLogs, atSTS := callBoth(t.Context(), r.url, test.region, test.provider)
			if test.logsCode == "" {
				g.Expect(atLogs).NotTo(HaveOccurred())
				g.Expect(atSTS).NotTo(HaveOccurred())
				return
			}
			expectCode(g, atLogs, test.logsCode)
			expectCode(g, atSTS, test.stsIs)
		})
	}
}

// roundTripper changes a request after it was signed.
type roundTripper func(*http.Request)

func (change roundTripper) RoundTrip(request *http.Request) (*http.Response, error) {
	change(request)
	return http.DefaultTransport.RoundTrip(request)
}

// TestTampering shows that what was signed cannot be changed on the way.
func TestTampering(t *testing.T) {
	r := start(t, cloudsim.Options{})
	cases := map[string]struct {
		change roundTripper
		code   string
	}{
		"nothing":     {func(*http.Request) {}, ""},
		"the body":    {func(q *http.Request) { q.Body = io.NopCloser(strings.NewReader(`{"limit":3}`)) }, "InvalidSignatureException"},
		"the target":  {func(q *http.Request) { q.Header.Set("X-Amz-Target", "Logs_20140328.DescribeLogStreams") }, "InvalidSignatureException"},
		"the host":    {func(q *http.Request) { q.Host = "logs.example.org" }, "InvalidSignatureException"},
		"a new x-amz": {func(q *http.Request) { q.Header.Set("X-Amz-Meta", "1") }, "InvalidSignatureException"},
		"the region": {func(q *http.Request) {
			q.Header.Set("Authorization", strings.Replace(q.Header.Get("Authorization"), region, "us-east-1", 1))
		}, "InvalidSignatureException"},
		"the service": {func(q *http.Request) {
			q.Header.Set("Authorization", strings.Replace(q.Header.Get("Authorization"), "/logs/", "/sts/", 1))
		}, "InvalidSignatureException"},
		"the scope's day": {func(q *http.Request) {
			q.Header.Set("Authorization", strings.Replace(q.Header.Get("Authorization"), "/2", "/1", 1))
		}, "InvalidSignatureException"},
		"half a header": {func(q *http.Request) {
			head, _, _ := strings.Cut(q.Header.Get("Authorization"), ", Signature")
			q.Header.Set("Authorization", head)
		}, "IncompleteSignatureException"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, err := r.logs.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{Limit: aws.Int32(2)},
				func(o *cloudwatchlogs.Options) { o.HTTPClient = &http.Client{Transport: test.change} })
			if test.code == "" {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			expectCode(g, err, test.code)
		})
	}
}

func TestKeyRotation(t *testing.T) {
	g := NewWithT(t)
	r := start(t, cloudsim.Options{})
	rotated := alice
	rotated.AccessKeyID, rotated.SecretAccessKey = "AKIANEW", "new"
	r.PutUser(rotated)
	atLogs, _ := callBoth(t.Context(), r.url, region, keys(alice))
	expectCode(g, atLogs, "UnrecognizedClientException")
	atLogs, _ = callBoth(t.Context(), r.url, region, keys(rotated))
	g.Expect(atLogs).NotTo(HaveOccurred())
	r.RemoveUser("alice")
	atLogs, _ = callBoth(t.Context(), r.url, region, keys(rotated))
	expectCode(g, atLogs, "UnrecognizedClientException")
}

// TestPermissions shows both forms of a group's ARN and that the action is named.
func TestPermissions(t *testing.T) {
	const arn = "arn:aws:logs:eu-west-1:123456789012:log-group:" + group
	on := func(resources ...string) cloudsim.Policy {
		return cloudsim.Policy{{Actions: []string{"logs:*"}, Resources: resources}}
	}
	cases := map[string]struct {
		policy                    cloudsim.Policy
		describe, create, putting bool
	}{
		"everything":          {cloudsim.Allow("logs:*"), true, true, true},
		"nothing":             {nil, false, false, false},
		"only put":            {cloudsim.Allow("logs:putlogevents"), false, false, true},
		"the group with :*":   {on(arn + ":*"), false, true, true},
		"the group alone":     {on(arn), false, false, false},
		"both forms":          {on(arn, arn+":*"), false, true, true},
		"another group":       {on(arn + "-2:*"), false, false, false},
		"another region":      {on(strings.Replace(arn, "eu", "us", 1) + ":*"), false, false, false},
		"any group":           {on("arn:aws:logs:*:*:log-group:*"), true, true, true},
		"an explicit deny":    {append(cloudsim.Allow("*"), cloudsim.Statement{Deny: true, Actions: []string{"logs:P*"}}), true, true, false},
		"question mark":       {on("arn:aws:logs:eu-west-?:123456789012:log-group:/audit/*"), false, true, true},
		"stream of the group": {on(arn + ":log-stream:" + stream), false, false, true},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			bob := cloudsim.User{Name: "bob", AccessKeyID: "AKIABOB", SecretAccessKey: "bobs", Policy: test.policy}
			r := startWithStream(t, cloudsim.Options{Users: []cloudsim.User{bob}})
			logs, _ := clients(r.url, region, keys(bob))
			_, err := logs.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{})
			expectPermission(g, err, test.describe, "logs:DescribeLogGroups")
			_, err = logs.DescribeLogStreams(t.Context(), &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: aws.String(group)})
			expectPermission(g, err, test.create, "logs:DescribeLogStreams")
			_, err = put(t.Context(), logs, r.at(0))
			expectPermission(g, err, test.putting, "logs:PutLogEvents")
		})
	}
}

func expectPermission(g *WithT, err error, allowed bool, action string) {
	if allowed {
		g.ExpectWithOffset(1, err).NotTo(HaveOccurred())
		return
	}
	expectCode(g, err, "AccessDeniedException")
	g.ExpectWithOffset(1, err).To(MatchError(ContainSubstring("user/bob is not authorized to perform: " + action + " on resource: arn:")))
}

// TestTagsNeedTheirOwnPermission shows why the operator creates groups without tags.
func TestTagsNeedTheirOwnPermission(t *testing.T) {
	g := NewWithT(t)
	bob := cloudsim.User{Name: "bob", AccessKeyID: "AKIABOB", SecretAccessKey: "bobs", Policy: cloudsim.Allow("logs:CreateLogGroup")}
	r := start(t, cloudsim.Options{Users: []cloudsim.User{bob}})
	logs, _ := clients(r.url, region, keys(bob))
	input := &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(group), Tags: map[string]string{"a": "b"}}
	_, err := logs.CreateLogGroup(t.Context(), input)
	expectPermission(g, err, false, "logs:TagResource")
	input.Tags = nil
	_, err = logs.CreateLogGroup(t.Context(), input)
	g.Expect(err).NotTo(HaveOccurred())
}
