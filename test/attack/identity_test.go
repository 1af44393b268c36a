package attack

import (
	"context"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
)

// victimsRole is granted to the victim's namespace, and trusts the operator whoever it acts for.
const victimsRole = "arn:aws:iam::" + cloudsim.DefaultAccountID + ":role/victim-audit"

func pushing(name string, auth v1alpha1.Auth) *v1alpha1.AuditTrail {
	trail := clusterOnly(shared, name)
	trail.Spec.Type = v1alpha1.TrailTypeCloudWatch
	trail.Spec.CloudWatch = &v1alpha1.CloudWatchDestination{Region: region, LogGroupName: "/audit/victim", LogStreamName: "theirs", Auth: auth}
	return trail
}

func assuming(role string) v1alpha1.Auth { return v1alpha1.Auth{STS: &v1alpha1.STS{RoleARN: role}} }

// ownRole is one that the operator may assume for the attacker.
const ownRole = "arn:aws:iam::123456789012:role/attacker-audit"

// TestNobodyBorrowsAnIdentity: the operator may assume roles of many teams, and does so for none but the one that a role was
// granted to.
func TestNobodyBorrowsAnIdentity(t *testing.T) {
	g := NewWithT(t)
	aws.PutRole(cloudsim.Role{Name: "victim-audit", Policy: cloudsim.Allow("logs:*"), Trust: cloudsim.Trust{
		Principals: []string{"arn:aws:iam::" + cloudsim.DefaultAccountID + ":user/" + operatorIdentity.Name},
	}})
	grants := &corev1.ConfigMap{ObjectMeta: named(own, "trailkeeper-role-grants")}
	g.Expect(admin.Patch(t.Context(), grants, client.RawPatch("application/merge-patch+json",
		[]byte(`{"data":{"victim":"`+victimsRole+`","`+shared+`":"`+ownRole+`"}}`)))).To(Succeed())
	// A grant of one's own making is none.
	mine := &corev1.ConfigMap{ObjectMeta: named(shared, "trailkeeper-role-grants"), Data: map[string]string{shared: "*"}}
	g.Expect(mallory.Create(t.Context(), mine)).To(Succeed())

	withExternalID := assuming(ownRole)
	withExternalID.STS.ExternalID = "attack/victim"
	elsewhere := func(secret string) v1alpha1.Auth {
		return v1alpha1.Auth{Credentials: &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: secret}}}
	}
	withAccount := assuming(victimsRole)
	withAccount.STS.ServiceAccountName = "victim/audit"
	try(t, []attempt{
		{"the victim's role", create(pushing("role", assuming(victimsRole))), "may not use role " + victimsRole, ""},
		{"a role nobody granted", create(pushing("other", assuming("arn:aws:iam::123456789012:role/x"))), "may not use role", ""},
		{"a chosen external id", create(pushing("external", withExternalID)), "may set auth.sts.externalID", ""},
		{"the operator's own identity", create(pushing("ambient", v1alpha1.Auth{Ambient: &v1alpha1.Ambient{}})), "may use the operator's own identity", ""},
		{"a Secret elsewhere", create(pushing("secret", elsewhere("victim/aws"))), "secretRef.name must be the name of a Secret", ""},
		{"a service account elsewhere", create(pushing("account", withAccount)), "serviceAccountName must be the name of a service account", ""},
	})
}

// TestTheOperatorChecksWhatNoPolicyDid: a trail that came past the admission policies gets nothing either.
func TestTheOperatorChecksWhatNoPolicyDid(t *testing.T) {
	g := NewWithT(t)
	withoutPolicy(t, "trailkeeper-roles")
	withoutPolicy(t, "trailkeeper-identity")
	withExternalID := assuming(victimsRole)
	withExternalID.STS.ExternalID = "attack/victim"
	for name, want := range map[string]struct {
		auth   v1alpha1.Auth
		reason string
	}{
		"past-role":     {assuming(victimsRole), v1alpha1.ReasonRoleNotGranted},
		"past-external": {withExternalID, v1alpha1.ReasonExternalIDNotAllowed},
		"past-ambient":  {v1alpha1.Auth{Ambient: &v1alpha1.Ambient{}}, v1alpha1.ReasonAmbientNotAllowed},
	} {
		trail := pushing(name, want.auth)
		g.Eventually(func() error { return mallory.Create(t.Context(), trail) }).WithTimeout(patience).WithPolling(polling).Should(Succeed())
		t.Cleanup(func() { g.Expect(mallory.Delete(context.WithoutCancel(t.Context()), trail)).To(Succeed()) })
		g.Eventually(func(g Gomega) {
			g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(trail), trail)).To(Succeed())
			g.Expect(meta.FindStatusCondition(trail.Status.Conditions, v1alpha1.CredentialsValidCondition)).To(
				And(Not(BeNil()), HaveField("Reason", want.reason)), "%+v", trail.Status.Conditions)
		}).WithTimeout(patience).WithPolling(polling).Should(Succeed(), name)
	}
	g.Expect(aws.Events(region, "/audit/victim", "theirs")).To(BeEmpty())
}
