package cloudsim_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
)

const (
	aliceARN = "arn:aws:iam::123456789012:user/alice"
	auditARN = "arn:aws:iam::123456789012:role/team/audit"
	subject  = "system:serviceaccount:shop:trail"
)

// auditRole may be assumed by alice with an external id, and by one service account.
func auditRole() cloudsim.Role {
	return cloudsim.Role{
		Name: "team/audit", Policy: cloudsim.Allow("logs:*"), MaxSession: 2 * time.Hour,
		Trust: cloudsim.Trust{Principals: []string{aliceARN}, ExternalID: "cluster-a/shop", Subjects: []string{subject}},
	}
}

func assumeInput(change func(*sts.AssumeRoleInput)) *sts.AssumeRoleInput {
	input := &sts.AssumeRoleInput{
		RoleArn: aws.String(auditARN), RoleSessionName: aws.String("trailkeeper"), ExternalId: aws.String("cluster-a/shop"),
	}
	if change != nil {
		change(input)
	}
	return input
}

func provider(issued *types.Credentials) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(*issued.AccessKeyId, *issued.SecretAccessKey, *issued.SessionToken)
}

func TestGetCallerIdentity(t *testing.T) {
	g := NewWithT(t)
	r := start(t, cloudsim.Options{})
	identity, err := r.sts.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(*identity.Arn).To(Equal(aliceARN))
	g.Expect(*identity.Account).To(Equal("123456789012"))
	g.Expect(*identity.UserId).To(HavePrefix("AIDA"))
}

// TestAssumedRole follows a session from its issue to its expiry by the simulator's clock.
func TestAssumedRole(t *testing.T) {
	g := NewWithT(t)
	r := start(t, cloudsim.Options{Roles: []cloudsim.Role{auditRole()}})
	output, err := r.sts.AssumeRole(t.Context(), assumeInput(func(i *sts.AssumeRoleInput) { i.DurationSeconds = aws.Int32(900) }))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(*output.Credentials.AccessKeyId).To(HavePrefix("ASIA"))
	g.Expect(*output.Credentials.Expiration).To(BeTemporally("~", r.clock.Now().Add(15*time.Minute), time.Second))

	logs, security := clients(r.url, region, provider(output.Credentials))
	identity, err := security.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(*identity.Arn).To(Equal("arn:aws:sts::123456789012:assumed-role/audit/trailkeeper"))
	makeStream(t, logs)

	withoutToken := credentials.NewStaticCredentialsProvider(*output.Credentials.AccessKeyId, *output.Credentials.SecretAccessKey, "")
	atLogs, atSTS := callBoth(t.Context(), r.url, region, withoutToken)
	expectCode(g, atLogs, "UnrecognizedClientException")
	expectCode(g, atSTS, "InvalidClientTokenId")

	r.clock.SetTime(r.clock.Now().Add(15 * time.Minute))
	atLogs, atSTS = callBoth(t.Context(), r.url, region, provider(output.Credentials))
	expectCode(g, atLogs, "ExpiredTokenException")
	expectCode(g, atSTS, "ExpiredToken")
}

func TestAssumeRoleRefusals(t *testing.T) {
	cases := map[string]struct {
		change func(*sts.AssumeRoleInput)
		role   func(*cloudsim.Role)
		code   string
	}{
		"trusted":           {nil, nil, ""},
		"missing role":      {func(i *sts.AssumeRoleInput) { i.RoleArn = aws.String(auditARN + "s") }, nil, "AccessDenied"},
		"another account":   {func(i *sts.AssumeRoleInput) { i.RoleArn = aws.String(strings.Replace(auditARN, "123", "321", 1)) }, nil, "AccessDenied"},
		"another partition": {func(i *sts.AssumeRoleInput) { i.RoleArn = aws.String(strings.Replace(auditARN, "aws", "aws-cn", 1)) }, nil, "AccessDenied"},
		"not trusted":       {nil, func(r *cloudsim.Role) { r.Trust.Principals = []string{aliceARN + "2"} }, "AccessDenied"},
		"account trusted, but alice's policy does not allow it": {
			nil, func(r *cloudsim.Role) { r.Trust.Principals = []string{"arn:aws:iam::123456789012:root"} }, "AccessDenied"},
		"no external id":        {func(i *sts.AssumeRoleInput) { i.ExternalId = nil }, nil, "AccessDenied"},
		"wrong external id":     {func(i *sts.AssumeRoleInput) { i.ExternalId = aws.String("cluster-a/other") }, nil, "AccessDenied"},
		"empty external id":     {func(i *sts.AssumeRoleInput) { i.ExternalId = aws.String("") }, nil, "ValidationError"},
		"needless external id":  {nil, func(r *cloudsim.Role) { r.Trust.ExternalID = "" }, ""},
		"899 seconds":           {func(i *sts.AssumeRoleInput) { i.DurationSeconds = aws.Int32(899) }, nil, "ValidationError"},
		"900 seconds":           {func(i *sts.AssumeRoleInput) { i.DurationSeconds = aws.Int32(900) }, nil, ""},
		"the role's maximum":    {func(i *sts.AssumeRoleInput) { i.DurationSeconds = aws.Int32(7200) }, nil, ""},
		"above it":              {func(i *sts.AssumeRoleInput) { i.DurationSeconds = aws.Int32(7201) }, nil, "ValidationError"},
		"43201 seconds":         {func(i *sts.AssumeRoleInput) { i.DurationSeconds = aws.Int32(43201) }, func(r *cloudsim.Role) { r.MaxSession = 24 * time.Hour }, "ValidationError"},
		"session name":          {func(i *sts.AssumeRoleInput) { i.RoleSessionName = aws.String("a b") }, nil, "ValidationError"},
		"broken session policy": {func(i *sts.AssumeRoleInput) { i.Policy = aws.String(`{"Statement":[]}`) }, nil, "MalformedPolicyDocument"},
		"condition in it": {func(i *sts.AssumeRoleInput) {
			i.Policy = aws.String(`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{}}}`)
		}, nil, "MalformedPolicyDocument"},
		"long session policy": {func(i *sts.AssumeRoleInput) { i.Policy = aws.String(strings.Repeat(" ", 2049)) }, nil, "ValidationError"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			role := auditRole()
			if test.role != nil {
				test.role(&role)
			}
			r := start(t, cloudsim.Options{Roles: []cloudsim.Role{role}})
			_, err := r.sts.AssumeRole(t.Context(), assumeInput(test.change))
			if test.code == "" {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			expectCode(g, err, test.code)
		})
	}
}

// TestCrossAccount shows that a caller of another account also needs sts:AssumeRole, and that groups follow the role.
func TestCrossAccount(t *testing.T) {
	g := NewWithT(t)
	role := auditRole()
	role.AccountID = "999999999999"
	r := start(t, cloudsim.Options{Roles: []cloudsim.Role{role}})
	input := assumeInput(func(i *sts.AssumeRoleInput) {
		i.RoleArn = aws.String(strings.Replace(auditARN, "123456789012", "999999999999", 1))
	})
	_, err := r.sts.AssumeRole(t.Context(), input)
	expectCode(g, err, "AccessDenied")

	permitted := alice
	permitted.Policy = cloudsim.Policy{{Actions: []string{"sts:AssumeRole"}, Resources: []string{*input.RoleArn}}}
	r.PutUser(permitted)
	output, err := r.sts.AssumeRole(t.Context(), input)
	g.Expect(err).NotTo(HaveOccurred())
	logs, _ := clients(r.url, region, provider(output.Credentials))
	makeStream(t, logs)
	g.Expect(r.Events(region, group, stream)).To(BeNil(), "the group belongs to the role's account")
	groups, err := logs.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(*groups.LogGroups[0].Arn).To(ContainSubstring(":999999999999:log-group:/audit/prod:*"))
}

// TestRoleChaining shows the one hour limit of a role that assumes a role.
func TestRoleChaining(t *testing.T) {
	g := NewWithT(t)
	second := cloudsim.Role{Name: "second", MaxSession: 12 * time.Hour, Trust: cloudsim.Trust{Principals: []string{auditARN}}}
	r := start(t, cloudsim.Options{Roles: []cloudsim.Role{auditRole(), second}})
	first, err := r.sts.AssumeRole(t.Context(), assumeInput(nil))
	g.Expect(err).NotTo(HaveOccurred())
	_, chained := clients(r.url, region, provider(first.Credentials))
	input := &sts.AssumeRoleInput{
		RoleArn: aws.String("arn:aws:iam::123456789012:role/second"), RoleSessionName: aws.String("s2"), DurationSeconds: aws.Int32(3601),
	}
	_, err = chained.AssumeRole(t.Context(), input)
	expectCode(g, err, "ValidationError")
	input.DurationSeconds = aws.Int32(3600)
	_, err = chained.AssumeRole(t.Context(), input)
	g.Expect(err).NotTo(HaveOccurred())
}

// TestSessionPolicy shows that it narrows the role's policy, and never widens it.
func TestSessionPolicy(t *testing.T) {
	g := NewWithT(t)
	role := auditRole()
	role.Policy = cloudsim.Allow("logs:DescribeLogGroups", "logs:CreateLogGroup")
	r := start(t, cloudsim.Options{Roles: []cloudsim.Role{role}})
	output, err := r.sts.AssumeRole(t.Context(), assumeInput(func(i *sts.AssumeRoleInput) {
		i.Policy = aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*",
			"Action":["logs:DescribeLogGroups","logs:DeleteLogGroup"]}]}`)
	}))
	g.Expect(err).NotTo(HaveOccurred())
	logs, _ := clients(r.url, region, provider(output.Credentials))
	_, err = logs.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{})
	g.Expect(err).NotTo(HaveOccurred())
	_, err = logs.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(group)})
	expectCode(g, err, "AccessDeniedException")
	g.Expect(err).To(MatchError(ContainSubstring("no session policy allows the logs:CreateLogGroup action")))
	_, err = logs.DeleteLogGroup(t.Context(), &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: aws.String(group)})
	expectCode(g, err, "AccessDeniedException")
	g.Expect(err).To(MatchError(ContainSubstring("no identity-based policy allows the logs:DeleteLogGroup action")))
}

// token is an unsigned web identity token.
func token(g *WithT, claims map[string]any) string {
	payload, err := json.Marshal(claims)
	g.Expect(err).NotTo(HaveOccurred())
	return "e30." + base64.RawURLEncoding.EncodeToString(payload) + ".c2ln"
}

func TestWebIdentity(t *testing.T) {
	hour := time.Now().Add(time.Hour).Unix()
	cases := map[string]struct {
		claims map[string]any
		code   string
	}{
		"trusted":          {map[string]any{"sub": subject, "aud": []string{"sts.amazonaws.com"}, "exp": hour, "iss": "https://k8s"}, ""},
		"audience as text": {map[string]any{"sub": subject, "aud": "sts.amazonaws.com", "exp": hour}, ""},
		"another subject":  {map[string]any{"sub": subject + "s", "aud": "sts.amazonaws.com", "exp": hour}, "AccessDenied"},
		"another audience": {map[string]any{"sub": subject, "aud": "kubernetes", "exp": hour}, "InvalidIdentityToken"},
		"expired":          {map[string]any{"sub": subject, "aud": "sts.amazonaws.com", "exp": time.Now().Unix() - 60}, "ExpiredTokenException"},
		"no expiry":        {map[string]any{"sub": subject, "aud": "sts.amazonaws.com"}, "InvalidIdentityToken"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			r := start(t, cloudsim.Options{Roles: []cloudsim.Role{auditRole()}})
			output, err := assumeWithToken(t.Context(), r, token(g, test.claims))
			if test.code != "" {
				expectCode(g, err, test.code)
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(*output.SubjectFromWebIdentityToken).To(Equal(subject))
			logs, _ := clients(r.url, region, provider(output.Credentials))
			makeStream(t, logs)
		})
	}
	g := NewWithT(t)
	r := start(t, cloudsim.Options{Roles: []cloudsim.Role{auditRole()}})
	_, err := assumeWithToken(t.Context(), r, "not-a-token")
	expectCode(g, err, "InvalidIdentityToken")
}

func assumeWithToken(ctx context.Context, r *rig, token string) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	return r.sts.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String(auditARN), RoleSessionName: aws.String("trailkeeper"), WebIdentityToken: &token,
	})
}
