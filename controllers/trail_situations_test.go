package controllers

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/conditions"
)

var update = flag.Bool("update", false, "rewrite testdata/situations.txt")

// seen is what a situation shows: in which condition, and by which reason.
type seen struct {
	kind   string
	status metav1.ConditionStatus
	reason string
}

// row is one situation of the table, for each way to prove an identity to which it can happen.
type row struct {
	name string
	// change makes the situation, before the trail is made.
	change func(*situation)
	// want is by way; ways that are not in it do not know the situation.
	want map[way]seen
	// once is how long to wait for AWS in a situation that takes real time, and is looked at once only.
	once time.Duration
}

const (
	credentialsValid = v1alpha1.CredentialsValidCondition
	destinationReady = v1alpha1.DestinationReadyCondition
	isTrue           = metav1.ConditionTrue
	isFalse          = metav1.ConditionFalse
	isUnknown        = metav1.ConditionUnknown
)

// all is the same for several ways.
func all(ways []way, kind string, status metav1.ConditionStatus, reason string) map[way]seen {
	same := map[way]seen{}
	for _, w := range ways {
		same[w] = seen{kind, status, reason}
	}
	return same
}

// failAt answers an action with an error code.
func failAt(action, code string) func(*situation) {
	return func(s *situation) { s.Inject(cloudsim.Fault{Action: action, Effect: cloudsim.Fail, Code: code}) }
}

// atSTS makes STS answer so, whichever of its actions the trail's way uses.
func atSTS(fault cloudsim.Fault) func(*situation) {
	return func(s *situation) {
		for _, action := range []string{"GetCallerIdentity", "AssumeRole", "AssumeRoleWithWebIdentity"} {
			fault.Action = action
			s.Inject(fault)
		}
	}
}

func atLogs(fault cloudsim.Fault) func(*situation) {
	return func(s *situation) {
		for _, action := range []string{"DescribeLogStreams", "DescribeLogGroups", "CreateLogGroup", "CreateLogStream", "PutLogEvents"} {
			fault.Action = action
			s.Inject(fault)
		}
	}
}

func both(changes ...func(*situation)) func(*situation) {
	return func(s *situation) {
		for _, change := range changes {
			change(s)
		}
	}
}

var stsDown = atSTS(cloudsim.Fault{Effect: cloudsim.Unavailable})

// situations are the rows of what can be wrong with an identity and a destination: each code that STS and CloudWatch Logs
// give for it, how a connection can end, and what Kubernetes does not have.
var situations = []row{
	{name: "all is well", change: func(*situation) {}, want: all(everyWay, v1alpha1.ReadyCondition, isTrue, v1alpha1.ReasonSucceeded)},
	{name: "the Secret is missing", change: func(s *situation) { s.secret = nil },
		want: all([]way{viaKeys}, credentialsValid, isFalse, v1alpha1.ReasonSecretNotFound)},
	{name: "the Secret lacks a key", change: func(s *situation) { delete(s.secret.StringData, "AWS_SECRET_ACCESS_KEY") },
		want: all([]way{viaKeys}, credentialsValid, isFalse, v1alpha1.ReasonSecretKeyMissing)},
	{name: "a temporary key has no token", change: func(s *situation) { s.secret.StringData["AWS_ACCESS_KEY_ID"] = "ASIA1" },
		want: all([]way{viaKeys}, credentialsValid, isFalse, v1alpha1.ReasonSessionTokenMissing)},
	{name: "the service account is missing", change: func(s *situation) { s.trail.Spec.CloudWatch.Auth.STS.ServiceAccountName = "nobody" },
		want: all([]way{viaToken}, credentialsValid, isFalse, v1alpha1.ReasonServiceAccountNotFound)},

	{name: "unknown access key", change: func(s *situation) { s.RemoveUser("trail"); s.RemoveUser("operator") }, want: map[way]seen{
		viaKeys: {credentialsValid, isFalse, v1alpha1.ReasonInvalidAccessKey},
		viaRole: {credentialsValid, isFalse, v1alpha1.ReasonNoIdentity},
	}},
	{name: "unknown access key or region off, found by CloudWatch Logs", change: both(stsDown, failAt("DescribeLogStreams", "UnrecognizedClientException")),
		want: all([]way{viaKeys}, credentialsValid, isFalse, v1alpha1.ReasonInvalidAccessKey)},
	{name: "wrong secret", change: func(s *situation) {
		s.trailUser.SecretAccessKey, s.operator.SecretAccessKey = "another", "another"
		s.PutUser(s.trailUser)
		s.PutUser(s.operator)
	}, want: map[way]seen{
		viaKeys: {credentialsValid, isFalse, v1alpha1.ReasonSignatureMismatch},
		viaRole: {credentialsValid, isFalse, v1alpha1.ReasonNoIdentity},
	}},
	{name: "skewed clock", change: func(s *situation) { s.SetSkew(-6 * time.Minute) }, want: map[way]seen{
		viaKeys:  {credentialsValid, isFalse, v1alpha1.ReasonSignatureMismatch},
		viaRole:  {credentialsValid, isFalse, v1alpha1.ReasonNoIdentity},
		viaToken: {credentialsValid, isFalse, v1alpha1.ReasonSignatureMismatch},
	}},
	{name: "wrong secret or skewed clock, found by CloudWatch Logs", change: both(stsDown, failAt("DescribeLogStreams", "InvalidSignatureException")),
		want: all([]way{viaKeys}, credentialsValid, isFalse, v1alpha1.ReasonSignatureMismatch)},
	{name: "expired token", change: failAt("GetCallerIdentity", "ExpiredToken"),
		want: all([]way{viaKeys}, credentialsValid, isFalse, v1alpha1.ReasonTokenExpired)},
	{name: "expired token, found by CloudWatch Logs", change: failAt("DescribeLogStreams", "ExpiredTokenException"),
		want: all(everyWay, credentialsValid, isFalse, v1alpha1.ReasonTokenExpired)},
	{name: "expired token of the operator", change: failAt("AssumeRole", "ExpiredToken"),
		want: all([]way{viaRole}, credentialsValid, isFalse, v1alpha1.ReasonNoIdentity)},
	{name: "expired token of the service account", change: failAt("AssumeRoleWithWebIdentity", "ExpiredTokenException"),
		want: all([]way{viaToken}, credentialsValid, isFalse, v1alpha1.ReasonRoleNotAssumable)},

	{name: "no such role", change: func(s *situation) {
		s.trail.Spec.CloudWatch.Auth.STS.RoleARN += "s"
	}, want: all(roleWays, credentialsValid, isFalse, v1alpha1.ReasonRoleNotAssumable)},
	{name: "the role trusts somebody else", change: func(s *situation) {
		s.role.Trust.Principals, s.role.Trust.Subjects = nil, nil
		s.PutRole(s.role)
	}, want: all(roleWays, credentialsValid, isFalse, v1alpha1.ReasonRoleNotAssumable)},
	{name: "the role asks for another external id", change: func(s *situation) {
		s.role.Trust.ExternalID = "c1/other"
		s.PutRole(s.role)
	}, want: all([]way{viaRole}, credentialsValid, isFalse, v1alpha1.ReasonRoleNotAssumable)},
	{name: "the role asks for another audience", change: func(s *situation) {
		s.role.Trust.Audience = "kubernetes"
		s.PutRole(s.role)
	}, want: all([]way{viaToken}, credentialsValid, isFalse, v1alpha1.ReasonRoleNotAssumable)},
	{name: "the role's sessions are shorter", change: func(s *situation) {
		s.trail.Spec.CloudWatch.Auth.STS.DurationSeconds = new(int32(7200))
	}, want: all(roleWays, credentialsValid, isFalse, v1alpha1.ReasonRoleNotAssumable)},

	{name: "logs:DescribeLogStreams is not allowed", change: func(s *situation) { s.permit(without("logs:DescribeLogStreams")) },
		want: all(everyWay, destinationReady, isFalse, v1alpha1.ReasonActionNotAllowed)},
	{name: "logs:CreateLogGroup is not allowed", change: func(s *situation) { s.permit(without("logs:CreateLogGroup")) },
		want: all(everyWay, destinationReady, isFalse, v1alpha1.ReasonActionNotAllowed)},
	{name: "logs:CreateLogStream is not allowed", change: func(s *situation) { s.permit(without("logs:CreateLogStream")) },
		want: all(everyWay, destinationReady, isFalse, v1alpha1.ReasonActionNotAllowed)},
	{name: "logs:PutLogEvents is not allowed", change: func(s *situation) { s.permit(without("logs:PutLogEvents")) },
		want: all(everyWay, destinationReady, isFalse, v1alpha1.ReasonActionNotAllowed)},
	{name: "logs:DescribeLogGroups is not allowed", change: func(s *situation) { s.permit(without("logs:DescribeLogGroups")) },
		want: all(everyWay, v1alpha1.RetentionSufficientCondition, isUnknown, v1alpha1.ReasonActionNotAllowed)},
	{name: "logs:PutLogEvents is denied as AccessDenied", change: failAt("PutLogEvents", "AccessDenied"),
		want: all(everyWay, destinationReady, isFalse, v1alpha1.ReasonActionNotAllowed)},
	{name: "the group is missing and is not to be created", change: func(s *situation) {
		s.trail.Spec.CloudWatch.LogGroupCreationPolicy = v1alpha1.LogGroupCreationNever
	}, want: all(everyWay, destinationReady, isFalse, v1alpha1.ReasonLogGroupNotFound)},

	{name: "region off", change: func(s *situation) { s.trail.Spec.CloudWatch.Region = "us-east-1" },
		want: all(everyWay, credentialsValid, isFalse, v1alpha1.ReasonRegionUnusable)},

	{name: "throttled", change: both(atSTS(cloudsim.Fault{Effect: cloudsim.Throttle}), atLogs(cloudsim.Fault{Effect: cloudsim.Throttle})),
		want: all(everyWay, credentialsValid, isUnknown, v1alpha1.ReasonThrottled)},
	{name: "throttled by CloudWatch Logs", change: atLogs(cloudsim.Fault{Effect: cloudsim.Throttle}),
		want: all(everyWay, destinationReady, isUnknown, v1alpha1.ReasonThrottled)},
	{name: "the probe is throttled", change: func(s *situation) { s.Inject(cloudsim.Fault{Action: "PutLogEvents", Effect: cloudsim.Throttle}) },
		want: all(everyWay, v1alpha1.ReadyCondition, isTrue, v1alpha1.ReasonSucceeded)},
	{name: "quota", change: failAt("CreateLogGroup", "LimitExceededException"),
		want: all(everyWay, destinationReady, isFalse, v1alpha1.ReasonQuotaExceeded)},
	{name: "concurrent create", change: failAt("CreateLogGroup", "OperationAbortedException"), once: 10 * time.Second,
		want: all(everyWay, destinationReady, isUnknown, v1alpha1.ReasonLogGroupBusy)},
	{name: "STS is down and CloudWatch Logs is not", change: stsDown, want: map[way]seen{
		viaKeys:  {v1alpha1.ReadyCondition, isTrue, v1alpha1.ReasonSucceeded},
		viaRole:  {credentialsValid, isUnknown, v1alpha1.ReasonUnreachable},
		viaToken: {credentialsValid, isUnknown, v1alpha1.ReasonUnreachable},
	}},
	{name: "CloudWatch Logs is down", change: atLogs(cloudsim.Fault{Effect: cloudsim.Unavailable}),
		want: all(everyWay, destinationReady, isUnknown, v1alpha1.ReasonUnreachable)},
	{name: "an error that nobody knows", change: failAt("DescribeLogStreams", "NeverHeardOfException"),
		want: all(everyWay, destinationReady, isUnknown, v1alpha1.ReasonAWSError)},
	{name: "a proxy's page", change: func(s *situation) {
		s.Inject(cloudsim.Fault{Action: "DescribeLogStreams", Effect: cloudsim.Fail, Status: 502})
	},
		want: all(everyWay, destinationReady, isUnknown, v1alpha1.ReasonUnreachable)},

	{name: "connections are reset", change: atLogs(cloudsim.Fault{Effect: cloudsim.Reset}),
		want: all(everyWay, destinationReady, isUnknown, v1alpha1.ReasonUnreachable)},
	{name: "connections end before the answer", change: atLogs(cloudsim.Fault{Effect: cloudsim.Drop}),
		want: all(everyWay, destinationReady, isUnknown, v1alpha1.ReasonUnreachable)},
	{name: "everything hangs", change: both(atSTS(cloudsim.Fault{Effect: cloudsim.Hang}), atLogs(cloudsim.Fault{Effect: cloudsim.Hang})), once: 300 * time.Millisecond,
		want: all(everyWay, credentialsValid, isUnknown, v1alpha1.ReasonUnreachable)},
	{name: "answers do not end", change: atLogs(cloudsim.Fault{Effect: cloudsim.SlowBody, Delay: time.Hour}), once: 300 * time.Millisecond,
		want: all(everyWay, destinationReady, isUnknown, v1alpha1.ReasonUnreachable)},
}

// TestSituations shows, for each situation and way, in which condition it is seen, by which reason and message, and what it
// costs: how soon it is looked at again, and how many calls to AWS and writes of status ten minutes of it are. All but the
// first is in testdata/situations.txt, which -update rewrites.
func TestSituations(t *testing.T) {
	c := startTrailClient(t)
	results := make([]string, 0, len(situations)*len(everyWay))
	for _, row := range situations {
		for _, how := range everyWay {
			want, known := row.want[how]
			if !known {
				continue
			}
			t.Run(row.name+"/"+string(how), func(t *testing.T) {
				results = append(results, row.show(t, startSituation(t, c, how), want))
			})
		}
	}
	const path = "testdata/situations.txt"
	g := NewWithT(t)
	if *update {
		g.Expect(os.WriteFile(path, []byte(strings.Join(results, "")), 0o600)).To(Succeed())
	}
	golden, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	known := strings.SplitAfter(string(golden), "\n\n")
	for _, result := range results { // One by one, so that -run can select some.
		g.Expect(known).To(ContainElement(result), "run go test ./controllers -run Situations -update, and look at what changes")
	}
}

func (r row) show(t *testing.T, s *situation, want seen) string {
	t.Helper()
	g := NewWithT(t)
	r.change(s)
	s.apply(t)
	s.reconciler.AWSTimeout = r.once
	result := s.reconcile(t)
	expectCondition(t, s.trail, want.kind, want.status, want.reason)
	expectCondition(t, s.trail, v1alpha1.RecordingCondition, isTrue, v1alpha1.ReasonSucceeded)
	ready := conditions.Get(s.trail, v1alpha1.ReadyCondition)
	if slices.Contains([]string{credentialsValid, destinationReady}, want.kind) {
		expectCondition(t, s.trail, v1alpha1.ReadyCondition, want.status, want.reason)
		g.Expect(ready.Message).To(HavePrefix(want.kind + ": "))
	} else {
		expectCondition(t, s.trail, v1alpha1.ReadyCondition, isTrue, v1alpha1.ReasonSucceeded)
	}
	g.Expect(s.trail.Status.ObservedGeneration).To(Equal(s.trail.Generation))
	message := conditions.Get(s.trail, want.kind).Message
	g.Expect(message).NotTo(MatchRegexp(simSecrets + `|[0-9a-f]{8}-[0-9a-f]{4}|(?i)request ?id|IQoJ`))
	g.Expect(s.events).To(HaveLen(1), "one Event for one transition")

	cost := fmt.Sprintf("calls %d, status writes %d", s.Calls(""), s.writes.Load())
	if r.once == 0 {
		s.run(t, result.RequeueAfter, 10*time.Minute)
		cost = fmt.Sprintf("calls in ten minutes %d, status writes %d", s.Calls(""), s.writes.Load())
		g.Expect(s.writes.Load()).To(BeNumerically("==", 1), "an unchanging state is written once")
		g.Expect(s.events).To(HaveLen(1))
	}
	message = strings.ReplaceAll(message, s.trail.Namespace, "NAMESPACE")
	return fmt.Sprintf("%s, %s\n  %s=%s %s: %s\n  again after %s, %s\n\n",
		r.name, s.way, want.kind, want.status, want.reason, message, result.RequeueAfter, cost)
}
