package controllers

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/flowcontrol"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/conditions"
	"github.com/trailkeeper/trailkeeper/internal/patch"
)

const simKey = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"

// everySetting asks for all that is optional.
func everySetting(s *situation) {
	destination := s.trail.Spec.CloudWatch
	destination.RetentionInDays = new(int32(400))
	destination.KMSKeyARN = simKey
	destination.LogGroupClass = v1alpha1.LogGroupClassInfrequentAccess
	destination.Tags = map[string]v1alpha1.TagValue{"team": "red", "cost center": "4711"}
}

func TestTrailSettings(t *testing.T) {
	c := startTrailClient(t)
	tests := map[string]func(*testing.T, *situation){
		"all are put into force, once":            testSettingsInForce,
		"each refusal is its own":                 testSettingsRefused,
		"a refusal is tried again, ever later":    testSettingsTriedAgain,
		"what was changed elsewhere is put back":  testSettingsPutBack,
		"a group that is made again gets them":    testSettingsOfANewGroup,
		"an adopted group keeps its class":        testSettingsOfAnAdoptedGroup,
		"an account's policy is not fought":       testSettingsAccountPolicy,
		"a short retention is a warning":          testSettingsShortRetention,
		"fields that are removed are left alone":  testSettingsRemoved,
		"too many looks at once wait their turn":  testSettingsInTurn,
		"a policy on the one group suffices":      testScopedPolicy,
		"a write is proven when it has to be":     testProofOfWriting,
		"only a terminal error stalls":            testStalled,
		"a stream is deleted only if it was made": testDeletionOfAnAdoptedStream,
		"a lost Secret does not hold a deletion":  testDeletionWithoutASecret,
	}
	for name, test := range tests {
		for _, how := range []way{viaKeys, viaRole} {
			t.Run(name+"/"+string(how), func(t *testing.T) { test(t, startSituation(t, c, how)) })
		}
	}
}

// optional are the actions that the optional fields need.
var optional = []string{"logs:PutRetentionPolicy", "logs:AssociateKmsKey", "logs:TagResource"}

func testSettingsInForce(t *testing.T, s *situation) {
	g := NewWithT(t)
	everySetting(s)
	s.AddKey(simKey)
	s.permit(cloudsim.Allow(append(optional, baseActions...)...))
	s.apply(t)
	after := s.reconcile(t).RequeueAfter
	for _, kind := range settingConditions {
		expectCondition(t, s.trail, kind, isTrue, v1alpha1.ReasonSucceeded)
	}
	g.Expect(s.Tags(simRegion, simGroup)).To(Equal(map[string]string{"team": "red", "cost center": "4711"}))

	// An hour of checks, and of reconciles for other reasons in between, changes nothing and costs no such call.
	s.run(t, after, time.Hour)
	for range 5 {
		s.reconcile(t)
	}
	for _, action := range []string{"PutRetentionPolicy", "AssociateKmsKey", "TagResource", "CreateLogGroup"} {
		g.Expect(s.Calls(action)).To(Equal(1), action)
	}
	g.Expect(s.Calls("DescribeLogGroups")).To(BeNumerically("<=", 5))
	g.Expect(s.writes.Load()).To(BeNumerically("==", 1))
}

func testSettingsRefused(t *testing.T, s *situation) {
	g := NewWithT(t)
	everySetting(s)
	s.apply(t)
	s.reconcile(t)
	for kind, action := range map[string]string{
		v1alpha1.RetentionManagedCondition:  "logs:PutRetentionPolicy",
		v1alpha1.EncryptionManagedCondition: "logs:AssociateKmsKey",
		v1alpha1.TagsManagedCondition:       "logs:TagResource",
	} {
		expectCondition(t, s.trail, kind, isFalse, v1alpha1.ReasonActionNotAllowed)
		g.Expect(conditions.Get(s.trail, kind).Message).To(ContainSubstring(action))
	}
	expectCondition(t, s.trail, v1alpha1.ClassManagedCondition, isTrue, v1alpha1.ReasonSucceeded)
	expectCondition(t, s.trail, v1alpha1.ReadyCondition, isTrue, v1alpha1.ReasonSucceeded)
	g.Expect(s.events).To(HaveLen(4), "one for Ready, one for each refusal")

	// A key that CloudWatch Logs cannot use is not a missing permission.
	s.permit(cloudsim.Allow(append(optional, baseActions...)...))
	s.clock.SetTime(s.clock.Now().Add(2 * time.Minute))
	s.reconcile(t)
	expectCondition(t, s.trail, v1alpha1.RetentionManagedCondition, isTrue, v1alpha1.ReasonSucceeded)
	expectCondition(t, s.trail, v1alpha1.EncryptionManagedCondition, isFalse, v1alpha1.ReasonKeyNotUsable)
}

func testSettingsTriedAgain(t *testing.T, s *situation) {
	g := NewWithT(t)
	s.trail.Spec.CloudWatch.Tags = map[string]v1alpha1.TagValue{"team": "red"}
	s.apply(t)
	s.run(t, s.reconcile(t).RequeueAfter, time.Hour)
	g.Expect(s.Calls("TagResource")).To(BeNumerically("~", 9, 2), "after 1, 2, 4, 8 and then every 10 minutes")
	g.Expect(s.writes.Load()).To(BeNumerically("==", 1))
	s.permit(cloudsim.Allow(append(optional, baseActions...)...))
	s.run(t, time.Minute, 15*time.Minute)
	expectCondition(t, s.trail, v1alpha1.TagsManagedCondition, isTrue, v1alpha1.ReasonSucceeded)
}

func testSettingsPutBack(t *testing.T, s *situation) {
	g := NewWithT(t)
	everySetting(s)
	s.AddKey(simKey)
	s.permit(cloudsim.Allow(append(optional, baseActions...)...))
	s.apply(t)
	after := s.reconcile(t).RequeueAfter
	s.SetRetention(simRegion, simGroup, 1)
	s.run(t, after, after)
	g.Expect(s.Retention(simRegion, simGroup)).To(Equal(400))
	g.Expect(s.Calls("AssociateKmsKey")).To(Equal(1))
}

func testSettingsOfANewGroup(t *testing.T, s *situation) {
	g := NewWithT(t)
	s.trail.Spec.CloudWatch.Tags = map[string]v1alpha1.TagValue{"team": "red"}
	s.permit(cloudsim.Allow(append(optional, baseActions...)...))
	s.apply(t)
	s.reconcile(t)
	s.RemoveGroup(simRegion, simGroup)
	s.reconcile(t)
	g.Expect(s.Tags(simRegion, simGroup)).To(Equal(map[string]string{"team": "red"}))
}

func testSettingsOfAnAdoptedGroup(t *testing.T, s *situation) {
	g := NewWithT(t)
	s.AddGroup(simRegion, simGroup)
	s.trail.Spec.CloudWatch.LogGroupClass = v1alpha1.LogGroupClassInfrequentAccess
	s.apply(t)
	s.reconcile(t)
	expectCondition(t, s.trail, v1alpha1.ClassManagedCondition, isFalse, v1alpha1.ReasonLogGroupClassDiffers)
	g.Expect(conditions.Get(s.trail, v1alpha1.ClassManagedCondition).Message).To(ContainSubstring("was created with class Standard"))
	expectCondition(t, s.trail, v1alpha1.ReadyCondition, isTrue, v1alpha1.ReasonSucceeded)

	s.permit(without("logs:DescribeLogGroups"))
	s.clock.SetTime(s.clock.Now().Add(time.Hour))
	s.reconcile(t)
	expectCondition(t, s.trail, v1alpha1.ClassManagedCondition, isUnknown, v1alpha1.ReasonActionNotAllowed)
	expectCondition(t, s.trail, v1alpha1.RetentionSufficientCondition, isUnknown, v1alpha1.ReasonActionNotAllowed)
	g.Expect(conditions.Get(s.trail, v1alpha1.RetentionSufficientCondition).Message).To(ContainSubstring("logs:DescribeLogGroups"))
}

func testSettingsAccountPolicy(t *testing.T, s *situation) {
	g := NewWithT(t)
	s.SetAccountRetention(cloudsim.AccountRetention{Name: "cheap", Days: 30})
	s.trail.Spec.CloudWatch.RetentionInDays = new(int32(365))
	s.permit(cloudsim.Allow(append(optional, baseActions...)...))
	s.apply(t)
	s.reconcile(t)
	expectCondition(t, s.trail, v1alpha1.RetentionManagedCondition, isFalse, v1alpha1.ReasonRetentionOverridden)
	g.Expect(conditions.Get(s.trail, v1alpha1.RetentionManagedCondition).Message).To(ContainSubstring("policy cheap of CloudWatch Logs sets this log group's retention to 30 days"))
	expectCondition(t, s.trail, v1alpha1.RetentionSufficientCondition, isFalse, v1alpha1.ReasonRetentionTooShort)
	g.Expect(s.Calls("PutRetentionPolicy")).To(BeZero())

	s.SetAccountRetention(cloudsim.AccountRetention{Name: "forever"})
	s.clock.SetTime(s.clock.Now().Add(time.Hour))
	s.reconcile(t)
	expectCondition(t, s.trail, v1alpha1.RetentionManagedCondition, isFalse, v1alpha1.ReasonRetentionOverridden)
	expectCondition(t, s.trail, v1alpha1.RetentionSufficientCondition, isTrue, v1alpha1.ReasonSucceeded)
}

func testSettingsShortRetention(t *testing.T, s *situation) {
	g := NewWithT(t)
	s.apply(t)
	s.reconcile(t)
	expectCondition(t, s.trail, v1alpha1.RetentionSufficientCondition, isTrue, v1alpha1.ReasonSucceeded)
	for days, status := range map[int]metav1.ConditionStatus{364: isFalse, 365: isTrue, 1: isFalse, 3653: isTrue} {
		s.SetRetention(simRegion, simGroup, days)
		s.clock.SetTime(s.clock.Now().Add(time.Hour))
		s.reconcile(t)
		c := conditions.Get(s.trail, v1alpha1.RetentionSufficientCondition)
		g.Expect(c.Status).To(Equal(status), fmt.Sprint(days))
		expectCondition(t, s.trail, v1alpha1.ReadyCondition, isTrue, v1alpha1.ReasonSucceeded)
	}
	g.Expect(s.events).To(ContainElement(HavePrefix("Warning RetentionTooShort CloudWatch Logs keeps the log group's records for 1 day, and an audit asks for a year")))
}

func testSettingsRemoved(t *testing.T, s *situation) {
	g := NewWithT(t)
	everySetting(s)
	s.trail.Spec.CloudWatch.LogGroupClass = ""
	s.AddKey(simKey)
	s.permit(cloudsim.Allow(append(optional, baseActions...)...))
	s.apply(t)
	s.reconcile(t)
	destination := s.trail.Spec.CloudWatch
	destination.RetentionInDays, destination.KMSKeyARN, destination.Tags = nil, "", nil
	g.Expect(s.client.Update(t.Context(), s.trail)).To(Succeed())
	s.reconcile(t)
	for _, kind := range settingConditions[:4] {
		g.Expect(conditions.Get(s.trail, kind)).To(BeNil(), kind)
	}
	g.Expect(s.Retention(simRegion, simGroup)).To(Equal(400))
	g.Expect(s.Tags(simRegion, simGroup)).To(HaveLen(2))
}

func testSettingsInTurn(t *testing.T, s *situation) {
	g := NewWithT(t)
	s.reconciler.limits = &limits{verify: flowcontrol.NewFakeAlwaysRateLimiter(), look: flowcontrol.NewFakeNeverRateLimiter()}
	s.apply(t)
	after := s.reconcile(t).RequeueAfter
	expectCondition(t, s.trail, v1alpha1.ReadyCondition, isTrue, v1alpha1.ReasonSucceeded)
	g.Expect(s.Calls("DescribeLogGroups")).To(BeZero())
	g.Expect(after).To(BeNumerically("<=", 6*time.Second))
	s.reconciler.limits = nil
	s.clock.SetTime(s.clock.Now().Add(after))
	s.reconcile(t)
	expectCondition(t, s.trail, v1alpha1.RetentionSufficientCondition, isTrue, v1alpha1.ReasonSucceeded)
}

// testScopedPolicy shows the six actions on the one group, in both forms of its ARN. DescribeLogGroups is evaluated on no
// group in particular, so such a policy refuses it, and nothing depends on it.
func testScopedPolicy(t *testing.T, s *situation) {
	g := NewWithT(t)
	const arn = "arn:aws:logs:eu-west-1:123456789012:log-group:" + simGroup
	scoped := func(lacks string) cloudsim.Policy {
		policy := without(lacks)
		policy[0].Resources = []string{arn, arn + ":*"}
		return policy
	}
	s.permit(scoped(""))
	s.trail.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDeleteStream
	s.apply(t)
	s.reconcile(t)
	expectCondition(t, s.trail, v1alpha1.ReadyCondition, isTrue, v1alpha1.ReasonSucceeded)
	expectCondition(t, s.trail, v1alpha1.RetentionSufficientCondition, isUnknown, v1alpha1.ReasonActionNotAllowed)
	stream, err := s.reconciler.Streams.Open(t.Context(), s.trail)
	g.Expect(err).NotTo(HaveOccurred())
	result, err := stream.Put(t.Context(), []cloudwatch.Record{{Time: time.Now().UnixMilli(), Message: []byte("m")}})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(result.Accepted).To(Equal(1))

	for _, lacks := range []string{"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"} {
		s.permit(scoped(lacks))
		s.RemoveGroup(simRegion, simGroup)
		s.clock.SetTime(s.clock.Now().Add(time.Hour))
		s.reconcile(t)
		expectCondition(t, s.trail, v1alpha1.DestinationReadyCondition, isFalse, v1alpha1.ReasonActionNotAllowed)
		g.Expect(conditions.Get(s.trail, v1alpha1.DestinationReadyCondition).Message).To(ContainSubstring(lacks))
	}
	s.permit(scoped("logs:DeleteLogStream"))
	s.clock.SetTime(time.Now()) // The API server's own, by which the deletion is timed.
	g.Expect(s.client.Delete(t.Context(), s.trail)).To(Succeed())
	s.reconcile(t)
	g.Expect(conditions.Get(s.trail, v1alpha1.ReadyCondition).Message).To(ContainSubstring("logs:DeleteLogStream"))
	s.permit(scoped(""))
	s.reconcile(t)
	g.Expect(s.client.Get(t.Context(), client.ObjectKeyFromObject(s.trail), s.trail)).To(MatchError(ContainSubstring("not found")))
}

// testProofOfWriting shows when the probe is made, that it stores nothing, and that delivery's account knows nothing of it.
func testProofOfWriting(t *testing.T, s *situation) {
	g := NewWithT(t)
	s.apply(t)
	for range 3 {
		s.reconcile(t)
	}
	g.Expect(s.Calls("PutLogEvents")).To(Equal(1), "not at each reconcile")
	g.Expect(s.Counts("PutLogEvents").Events).To(BeZero())
	g.Expect(s.Events(simRegion, simGroup, s.trail.Status.LogStreamName)).To(BeEmpty())
	g.Expect(s.trail.Status.Delivery).To(BeNil())

	s.clock.SetTime(s.clock.Now().Add(15 * time.Minute))
	s.reconcile(t)
	g.Expect(s.Calls("PutLogEvents")).To(Equal(2), "with the regular check")

	s.clock.SetTime(s.clock.Now().Add(15 * time.Minute))
	delivered := metav1.NewTime(s.clock.Now().Add(-time.Minute))
	status := v1alpha1.AuditTrailStatus{Delivery: &v1alpha1.DeliveryStatus{ResourceVersion: "7", Delivered: 3, LastDeliveredTime: &delivered}}
	status.Conditions = []metav1.Condition{{
		Type: v1alpha1.DeliveringCondition, Status: isTrue, Reason: v1alpha1.ReasonSucceeded, LastTransitionTime: metav1.Now(),
	}}
	g.Expect(patch.Status(t.Context(), s.client, patch.DeliveryOwner, s.trail, status)).To(Succeed())
	s.reconcile(t)
	g.Expect(s.Calls("PutLogEvents")).To(Equal(2), "a delivery proves it as well")

	s.trail.Spec.CloudWatch.Tags = map[string]v1alpha1.TagValue{"another": "spec"}
	g.Expect(s.client.Update(t.Context(), s.trail)).To(Succeed())
	s.reconcile(t)
	g.Expect(s.Calls("PutLogEvents")).To(Equal(3), "a new spec has to be proven")
	g.Expect(s.trail.Status.Delivery.Rejected).To(BeZero())
}

func testStalled(t *testing.T, s *situation) {
	g := NewWithT(t)
	s.permit(nil)
	s.apply(t)
	s.reconcile(t)
	g.Expect(conditions.Get(s.trail, v1alpha1.StalledCondition)).To(BeNil(), "a policy may be repaired without the trail")
	if s.way == viaKeys {
		return
	}
	s.trail.Spec.CloudWatch.Auth.STS.ExternalID = "chosen"
	g.Expect(s.client.Update(t.Context(), s.trail)).To(Succeed())
	g.Expect(s.reconcile(t).RequeueAfter).To(BeZero())
	expectCondition(t, s.trail, v1alpha1.StalledCondition, isTrue, v1alpha1.ReasonExternalIDNotAllowed)
	expectCondition(t, s.trail, v1alpha1.ReadyCondition, isFalse, v1alpha1.ReasonExternalIDNotAllowed)
	s.trail.Spec.CloudWatch.Auth.STS.ExternalID = ""
	g.Expect(s.client.Update(t.Context(), s.trail)).To(Succeed())
	s.reconcile(t)
	g.Expect(conditions.Get(s.trail, v1alpha1.StalledCondition)).To(BeNil())
}

func testDeletionOfAnAdoptedStream(t *testing.T, s *situation) {
	g := NewWithT(t)
	s.AddGroup(simRegion, simGroup)
	s.AddStream(simRegion, simGroup, "theirs")
	s.trail.Spec.CloudWatch.LogStreamName = "theirs"
	s.trail.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDeleteStream
	s.apply(t)
	s.reconcile(t)
	g.Expect(*s.trail.Status.StreamCreatedByOperator).To(BeFalse())
	g.Expect(s.client.Delete(t.Context(), s.trail)).To(Succeed())
	s.reconcile(t)
	g.Expect(s.client.Get(t.Context(), client.ObjectKeyFromObject(s.trail), s.trail)).To(MatchError(ContainSubstring("not found")))
	g.Expect(s.Calls("DeleteLogStream")).To(BeZero())
	g.Expect(s.Calls("DeleteLogGroup")).To(BeZero())
}

// testDeletionWithoutASecret shows a deletion whose stream cannot be deleted: it says which action or what else is missing,
// and goes after the drain's time.
func testDeletionWithoutASecret(t *testing.T, s *situation) {
	g := NewWithT(t)
	s.trail.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDeleteStream
	s.permit(without("logs:DeleteLogStream"))
	s.apply(t)
	s.reconcile(t)
	expectCondition(t, s.trail, v1alpha1.ReadyCondition, isTrue, v1alpha1.ReasonSucceeded)
	g.Expect(s.client.Delete(t.Context(), s.trail)).To(Succeed())
	g.Expect(s.reconcile(t).RequeueAfter).To(Equal(drainPoll))
	expectCondition(t, s.trail, v1alpha1.ReadyCondition, isFalse, v1alpha1.ReasonDeleting)
	g.Expect(conditions.Get(s.trail, v1alpha1.ReadyCondition).Message).To(ContainSubstring("logs:DeleteLogStream"))
	left := "logs:DeleteLogStream"
	if s.way == viaKeys {
		g.Expect(s.client.Delete(t.Context(), s.secret)).To(Succeed())
		left = "Secret " + s.trail.Namespace + "/aws does not exist"
	}
	writes := s.writes.Load()
	for range 3 {
		s.clock.SetTime(s.clock.Now().Add(drainPoll))
		s.reconcile(t)
	}
	g.Expect(s.writes.Load()-writes).To(BeNumerically("<=", 1), "an unchanging failure is written once")
	s.clock.SetTime(s.clock.Now().Add(drainTimeout))
	s.reconcile(t)
	g.Expect(s.client.Get(t.Context(), client.ObjectKeyFromObject(s.trail), s.trail)).To(MatchError(ContainSubstring("not found")))
	g.Expect(s.events).To(ContainElement(And(HavePrefix("Warning LeftBehind"), ContainSubstring("is not deleted"), ContainSubstring(left))))
}
