package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/awsauth"
	"github.com/trailkeeper/trailkeeper/internal/follow"
)

const auditRole = "arn:aws:iam::123456789012:role/audit"

func (r *trailRig) grant(t *testing.T, namespace, pattern string) {
	t.Helper()
	grantRole(t, r.client, namespace, pattern)
}

// grantRole lets a namespace use roles that match a pattern; none when it is empty.
func grantRole(t *testing.T, c client.Client, namespace, pattern string) {
	t.Helper()
	g := NewWithT(t)
	own := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: trailOperatorNamespace}}
	g.Expect(c.Create(t.Context(), own)).To(Or(Succeed(), WithTransform(apierrors.IsAlreadyExists, BeTrue())))
	grants := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: trailOperatorNamespace, Name: awsauth.RoleGrantsName}}
	g.Expect(c.Create(t.Context(), grants)).To(Or(Succeed(), WithTransform(apierrors.IsAlreadyExists, BeTrue())))
	g.Expect(c.Get(t.Context(), client.ObjectKeyFromObject(grants), grants)).To(Succeed())
	if grants.Data == nil {
		grants.Data = map[string]string{}
	}
	grants.Data[namespace] = pattern
	g.Expect(c.Update(t.Context(), grants)).To(Succeed())
}

func byRole(namespace string) *v1alpha1.AuditTrail {
	trail := cloudWatchTrail(namespace)
	trail.Spec.CloudWatch.Auth = v1alpha1.Auth{STS: &v1alpha1.STS{RoleARN: auditRole}}
	return trail
}

func testTrailRoleGrant(t *testing.T, rig *trailRig) {
	g := NewWithT(t)
	namespace := rig.namespace(t)
	rig.grant(t, namespace, "arn:aws:iam::123456789012:role/other")
	trail := byRole(namespace)
	rig.create(t, trail)
	rig.reconcile(t, trail)
	expectCondition(t, trail, v1alpha1.ReadyCondition, metav1.ConditionFalse, v1alpha1.ReasonRoleNotGranted)
	g.Expect(trail.Status.ExternalID).To(Equal("c1/"+namespace), "the role can be prepared meanwhile")
	g.Expect(rig.aws.Calls("AssumeRole")).To(BeEmpty())

	rig.grant(t, namespace, auditRole)
	key := client.ObjectKeyFromObject(trail)
	g.Expect(rig.reconciler.grantsChanged(t.Context(), nil)).To(ContainElement(reconcile.Request{NamespacedName: key}))
	rig.reconcile(t, trail)
	expectCondition(t, trail, v1alpha1.ReadyCondition, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)

	rig.grant(t, namespace, "")
	rig.reconcile(t, trail)
	expectCondition(t, trail, v1alpha1.CredentialsValidCondition, metav1.ConditionFalse, v1alpha1.ReasonRoleNotGranted)
	_, err := rig.reconciler.Streams.Open(t.Context(), trail)
	g.Expect(err).To(MatchError(ContainSubstring("may not use role")), "delivery must not get a stream")
}

func testTrailAmbient(t *testing.T, rig *trailRig) {
	g := NewWithT(t)
	project := cloudWatchTrail(rig.namespace(t))
	tenant := cloudWatchTrail(trailOperatorNamespace)
	rig.grant(t, project.Namespace, "*") // Which is about roles, and makes the operator's namespace.
	for _, trail := range []*v1alpha1.AuditTrail{project, tenant} {
		trail.Spec.CloudWatch.Auth = v1alpha1.Auth{Ambient: &v1alpha1.Ambient{}}
		rig.create(t, trail)
	}
	g.Expect(rig.reconcile(t, project).RequeueAfter).To(BeZero(), "only another spec helps")
	expectCondition(t, project, v1alpha1.ReadyCondition, metav1.ConditionFalse, v1alpha1.ReasonAmbientNotAllowed)
	g.Expect(rig.aws.Calls("GetCallerIdentity")).To(BeEmpty())

	rig.reconcile(t, tenant)
	expectCondition(t, tenant, v1alpha1.ReadyCondition, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	g.Expect(rig.aws.Calls("DescribeLogStreams")).To(HaveEach(HaveField("KeyID", "AKIAOPERATOR")))
	g.Expect(tenant.Status.CallerIdentity).NotTo(BeNil())
}

// testTrailRejectedCredentials: a role's session that AWS refuses before its time must not last until its time.
func testTrailRejectedCredentials(t *testing.T, rig *trailRig) {
	g := NewWithT(t)
	trail := byRole(rig.namespace(t))
	rig.grant(t, trail.Namespace, auditRole)
	rig.create(t, trail)
	rig.aws.Fail("DescribeLogStreams", "ExpiredTokenException")
	g.Expect(rig.reconcile(t, trail).RequeueAfter).To(Equal(firstRetry))
	expectCondition(t, trail, v1alpha1.CredentialsValidCondition, metav1.ConditionFalse, v1alpha1.ReasonTokenExpired)
	g.Expect(rig.aws.Calls("AssumeRole")).To(HaveLen(1))

	rig.aws.Fail("DescribeLogStreams", "AccessDeniedException")
	rig.reconcile(t, trail)
	g.Expect(rig.aws.Calls("AssumeRole")).To(HaveLen(2))
	rig.reconcile(t, trail)
	g.Expect(rig.aws.Calls("AssumeRole")).To(HaveLen(2), "what AWS accepts is kept, whatever it may do")
}

func testTrailIdentityChanged(t *testing.T, rig *trailRig) {
	g := NewWithT(t)
	trail := byRole(rig.namespace(t))
	rig.grant(t, trail.Namespace, auditRole)
	rig.create(t, trail)
	rig.reconcile(t, trail)
	rig.aws.Fail("DescribeLogStreams", "AccessDeniedException")
	rig.reconcile(t, trail)
	rig.clock.SetTime(rig.clock.Now().Add(time.Hour))
	g.Expect(rig.reconcile(t, trail).RequeueAfter).To(BeNumerically(">", firstRetry))

	key := client.ObjectKeyFromObject(trail)
	rig.reconciler.IdentityChanged(t.Context(), key)
	g.Expect(rig.reconcile(t, trail).RequeueAfter).To(Equal(firstRetry))
	g.Expect(rig.aws.Calls("AssumeRole")).To(HaveLen(2), "credentials of before the change must not be used")
}

func testTrailFollows(t *testing.T, rig *trailRig) {
	g := NewWithT(t)
	trail := cloudWatchTrail(rig.namespace(t))
	rig.create(t, trail)
	rig.reconcile(t, trail)
	key := client.ObjectKeyFromObject(trail)
	secret := follow.Object{Kind: follow.Secret, NamespacedName: types.NamespacedName{Namespace: trail.Namespace, Name: "aws"}}
	g.Expect(rig.followed).To(Equal(map[types.NamespacedName][]follow.Object{key: {secret}}))

	rig.drained.Store(true)
	g.Expect(rig.client.Delete(t.Context(), trail)).To(Succeed())
	rig.reconcile(t, trail)
	g.Expect(rig.followed).To(BeEmpty())
}

func TestReferences(t *testing.T) {
	on := true
	for name, c := range map[string]struct {
		change func(*v1alpha1.AuditTrail)
		want   []follow.Object
	}{
		"keys": {func(*v1alpha1.AuditTrail) {}, []follow.Object{{Kind: follow.Secret, NamespacedName: types.NamespacedName{Namespace: "shop", Name: "aws"}}}},
		"web identity": {func(trail *v1alpha1.AuditTrail) {
			trail.Spec.CloudWatch.Auth = v1alpha1.Auth{STS: &v1alpha1.STS{RoleARN: auditRole, ServiceAccountName: "pusher"}}
		}, []follow.Object{{Kind: follow.ServiceAccount, NamespacedName: types.NamespacedName{Namespace: "shop", Name: "pusher"}}}},
		"role": {func(trail *v1alpha1.AuditTrail) {
			trail.Spec.CloudWatch.Auth = v1alpha1.Auth{STS: &v1alpha1.STS{RoleARN: auditRole}}
		}, nil},
		"ambient": {func(trail *v1alpha1.AuditTrail) {
			trail.Spec.CloudWatch.Auth = v1alpha1.Auth{Ambient: &v1alpha1.Ambient{}}
		}, nil},
		"suspended":    {func(trail *v1alpha1.AuditTrail) { trail.Spec.Suspend = &on }, nil},
		"cluster only": {func(trail *v1alpha1.AuditTrail) { trail.Spec.CloudWatch = nil }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			trail := cloudWatchTrail("shop")
			c.change(trail)
			NewWithT(t).Expect(references(trail)).To(Equal(c.want))
		})
	}
}
