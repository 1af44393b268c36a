package delivery

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/awsauth"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/patch"
)

// prompt is within which delivery acts on a change that it was told. It is well below the 30 s that a pause may last.
const prompt = 5 * time.Second

// putKeys replaces what the trail's Secret has.
func (r *rig) putKeys(t *testing.T, user cloudsim.User) {
	t.Helper()
	NewWithT(t).Expect(r.Update(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: "aws"},
		StringData: map[string]string{"AWS_ACCESS_KEY_ID": user.AccessKeyID + "\n", "AWS_SECRET_ACCESS_KEY": user.SecretAccessKey + "\n"},
	})).To(Succeed())
}

func (r *rig) expectDelivering(t *testing.T, trail *v1alpha1.AuditTrail, status metav1.ConditionStatus, reason string) {
	t.Helper()
	NewWithT(t).Eventually(func() *metav1.Condition {
		return meta.FindStatusCondition(r.read(t, trail).Status.Conditions, v1alpha1.DeliveringCondition)
	}, patience, 20*time.Millisecond).Should(And(Not(BeNil()), HaveField("Status", status), HaveField("Reason", reason)))
}

// TestNewKeysGoOnWithTheOldEvents: keys are replaced at AWS first and in the Secret later, as happens in an emergency.
func TestNewKeysGoOnWithTheOldEvents(t *testing.T) {
	r := newRig(t)
	trail := r.trail(t)
	l := r.lead(t)
	r.serve(t, l, trail)
	names := r.record(t, trail, 0, 5)
	r.expect(t, trail, names)

	rotated := alice
	rotated.AccessKeyID, rotated.SecretAccessKey = "AKIAALICE00000000001", "alices-new-secret"
	r.sim.PutUser(rotated)
	names = append(names, r.record(t, trail, 5, 5)...)
	r.expectDelivering(t, trail, metav1.ConditionFalse, v1alpha1.ReasonInvalidAccessKey)
	r.putKeys(t, cloudsim.User{AccessKeyID: rotated.AccessKeyID, SecretAccessKey: "mistyped"})
	r.expectDelivering(t, trail, metav1.ConditionFalse, v1alpha1.ReasonSignatureMismatch)
	r.putKeys(t, rotated)
	r.expect(t, trail, names)
	r.expectDelivering(t, trail, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
}

// TestARoleThatEndedIsAssumedAgain: credentials that AWS takes for expired before the SDK does are not used to their end.
func TestARoleThatEndedIsAssumedAgain(t *testing.T) {
	const roleARN = "arn:aws:iam::123456789012:role/audit"
	for action, accountName := range map[string]string{"AssumeRole": "", "AssumeRoleWithWebIdentity": "pusher"} {
		t.Run(action, func(t *testing.T) {
			g := NewWithT(t)
			r := newRig(t)
			t.Setenv("AWS_ACCESS_KEY_ID", alice.AccessKeyID)
			t.Setenv("AWS_SECRET_ACCESS_KEY", alice.SecretAccessKey)
			r.grant(t, roleARN)
			g.Expect(r.Create(t.Context(), &corev1.ServiceAccount{
				ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: "pusher"},
			})).To(Succeed())
			trail := r.trail(t, func(trail *v1alpha1.AuditTrail) {
				trail.Spec.CloudWatch.Auth = v1alpha1.Auth{STS: &v1alpha1.STS{RoleARN: roleARN, ServiceAccountName: accountName}}
			})
			r.serve(t, r.lead(t), trail)
			names := r.record(t, trail, 0, 5)
			r.expect(t, trail, names)
			g.Expect(r.sim.Calls(action)).To(Equal(1))

			r.sim.ExpireSessions()
			names = append(names, r.record(t, trail, 5, 5)...)
			r.expect(t, trail, names)
			g.Expect(r.sim.Calls(action)).To(Equal(2))
		})
	}
}

// grant lets the rig's namespace use a role through the operator; "" withdraws it.
func (r *rig) grant(t *testing.T, pattern string) {
	t.Helper()
	g := NewWithT(t)
	own := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}}
	g.Expect(client.IgnoreAlreadyExists(r.Create(t.Context(), own))).To(Succeed())
	grants := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: awsauth.RoleGrantsName}}
	g.Expect(client.IgnoreAlreadyExists(r.Create(t.Context(), grants))).To(Succeed())
	grants.Data = map[string]string{r.namespace: pattern}
	g.Expect(r.Update(t.Context(), grants)).To(Succeed())
}

// TestAWithdrawnGrantEndsDelivery at the next batch, and a new one goes on with what was kept.
func TestAWithdrawnGrantEndsDelivery(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	t.Setenv("AWS_ACCESS_KEY_ID", alice.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", alice.SecretAccessKey)
	r.grant(t, "arn:aws:iam::123456789012:role/*")
	trail := r.trail(t, func(trail *v1alpha1.AuditTrail) {
		trail.Spec.CloudWatch.Auth = v1alpha1.Auth{STS: &v1alpha1.STS{RoleARN: "arn:aws:iam::123456789012:role/audit"}}
	})
	l := r.lead(t)
	r.serve(t, l, trail)
	names := r.record(t, trail, 0, 5)
	r.expect(t, trail, names)

	r.grant(t, "")
	names = append(names, r.record(t, trail, 5, 5)...)
	r.expectDelivering(t, trail, metav1.ConditionFalse, v1alpha1.ReasonRoleNotGranted)
	g.Expect(r.messages(trail)).To(HaveLen(5))
	r.grant(t, "arn:aws:iam::123456789012:role/audit")
	l.Wake(client.ObjectKeyFromObject(trail))
	g.Eventually(func() int { return len(r.messages(trail)) }, prompt, 20*time.Millisecond).Should(Equal(10))
	r.expect(t, trail, names)
}

// TestKeysOfAnotherAccountHoldDelivery until the trail says that it accepts that account.
func TestKeysOfAnotherAccountHoldDelivery(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	trail := r.trail(t)
	mine := v1alpha1.AuditTrailStatus{CallerIdentity: &v1alpha1.CallerIdentity{
		ARN: "arn:aws:iam::123456789012:user/alice", AccountID: "123456789012",
	}}
	g.Expect(patch.Status(t.Context(), r.Client, patch.TrailOwner, trail, mine)).To(Succeed())
	l := r.lead(t)
	r.serve(t, l, trail)
	r.expect(t, trail, r.record(t, trail, 0, 5))

	r.putKeys(t, stranger)
	r.record(t, trail, 5, 5)
	r.expectDelivering(t, trail, metav1.ConditionFalse, v1alpha1.ReasonAccountChanged)
	puts := r.sim.Calls("PutLogEvents")
	g.Consistently(func() int { return r.sim.Calls("PutLogEvents") }, time.Second, 20*time.Millisecond).Should(Equal(puts))
	g.Expect(r.read(t, trail).Status.CallerIdentity.AccountID).To(Equal("123456789012"))
	g.Expect(r.read(t, trail).Status.Delivery).To(HaveField("Pending", BeEquivalentTo(5)))

	fresh := r.read(t, trail)
	fresh.Annotations = map[string]string{v1alpha1.AcceptAccountAnnotation: stranger.AccountID}
	g.Expect(r.Update(t.Context(), fresh)).To(Succeed())
	r.serve(t, l, trail)
	g.Eventually(func() int64 { return r.read(t, trail).Status.Delivery.Delivered }, prompt, 20*time.Millisecond).Should(BeEquivalentTo(10))
	g.Expect(r.messages(trail)).To(HaveLen(5), "the others are in the other account")
}
