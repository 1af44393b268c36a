package controllers

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/awsauth"
	"github.com/trailkeeper/trailkeeper/internal/awsauth/awstest"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/conditions"
	"github.com/trailkeeper/trailkeeper/internal/follow"
	"github.com/trailkeeper/trailkeeper/internal/patch"
)

const (
	trailOperatorNamespace = "trailkeeper-system"
	drainTimeout           = 10 * time.Minute
)

// trailRig is a real API server, a scripted AWS, and a reconciler that the test calls itself.
type trailRig struct {
	client     client.Client
	aws        *awstest.Server
	clock      *clocktesting.FakePassiveClock
	reconciler *TrailReconciler
	recorded   atomic.Bool
	drained    atomic.Bool
	unclosed   atomic.Bool

	mu     sync.Mutex
	events []string
	// followed is what each trail follows.
	followed map[types.NamespacedName][]follow.Object
}

func (r *trailRig) Closed(*v1alpha1.AuditTrail) bool { return !r.unclosed.Load() }

func (r *trailRig) Follow(_ context.Context, trail types.NamespacedName, objects ...follow.Object) {
	r.followed[trail] = objects
}

func (r *trailRig) Forget(trail types.NamespacedName) { delete(r.followed, trail) }

func (r *trailRig) Recorded(*v1alpha1.AuditTrail) bool { return r.recorded.Load() }

func (r *trailRig) Drained(context.Context, *v1alpha1.AuditTrail) (bool, error) {
	return r.drained.Load(), nil
}

func (r *trailRig) Eventf(_, _ runtime.Object, kind, reason, _, note string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, fmt.Sprintf("%s %s %s", kind, reason, fmt.Sprintf(note, args...)))
}

// startTrailClient starts a control plane for the test.
func startTrailClient(t *testing.T) client.Client {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("SKIPPED: KUBEBUILDER_ASSETS is not set, so there is no API server to test against")
	}
	environment := &envtest.Environment{CRDDirectoryPaths: []string{"../config/crd/bases"}, ErrorIfCRDPathMissing: true}
	cfg, err := environment.Start()
	if err != nil {
		t.Fatalf("starting the control plane: %v", err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Errorf("stopping the control plane: %v", err)
		}
	})
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newTrailRig gives each test its own reconciler and AWS; the API server is shared.
func newTrailRig(t *testing.T, c client.Client) *trailRig {
	t.Helper()
	rig := &trailRig{client: c, aws: awstest.Start(t), clock: clocktesting.NewFakePassiveClock(time.Now())}
	rig.followed = map[types.NamespacedName][]follow.Object{}
	rig.recorded.Store(true)
	rig.aws.On("DescribeLogStreams", func(awstest.Call) awstest.Answer { return awstest.Answer{Body: `{"logStreams":[]}`} })
	rig.aws.On("DescribeLogGroups", func(awstest.Call) awstest.Answer {
		return awstest.Answer{Body: `{"logGroups":[{"logGroupName":"/audit/shop"}]}`}
	})
	auth := awsauth.New(awsauth.Options{
		Reader: c, Grants: c, Tokens: c, OperatorNamespace: trailOperatorNamespace, ServiceAccount: "trailkeeper-manager", ClusterID: "c1",
	})
	rig.reconciler = &TrailReconciler{
		Client: c, Reader: c, Events: rig, Clock: rig.clock, Auth: auth, Streams: cloudwatch.NewOpener(auth, "c1"),
		Recorded: rig, Drainer: rig, Follower: rig, OperatorNamespace: trailOperatorNamespace, DrainTimeout: drainTimeout,
	}
	return rig
}

// namespace makes a namespace of the test's own.
func (r *trailRig) namespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "shop-"}}
	if err := r.client.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	return namespace.Name
}

func (r *trailRig) create(t *testing.T, object client.Object) {
	t.Helper()
	if err := r.client.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

// reconcile runs one reconciliation and reads the trail back.
func (r *trailRig) reconcile(t *testing.T, trail *v1alpha1.AuditTrail) ctrl.Result {
	t.Helper()
	key := client.ObjectKeyFromObject(trail)
	result, err := r.reconciler.Reconcile(t.Context(), ctrl.Request{NamespacedName: key})
	if err != nil {
		t.Fatalf("reconciling: %v", err)
	}
	if err := client.IgnoreNotFound(r.client.Get(t.Context(), key, trail)); err != nil {
		t.Fatal(err)
	}
	return result
}

func keySecret(namespace string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "aws"},
		StringData: map[string]string{"AWS_ACCESS_KEY_ID": "AKIA1\n", "AWS_SECRET_ACCESS_KEY": "s3cr3t\n"},
	}
}

func cloudWatchTrail(namespace string) *v1alpha1.AuditTrail {
	return &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "changes"},
		Spec: v1alpha1.AuditTrailSpec{
			Type: v1alpha1.TrailTypeCloudWatch,
			CloudWatch: &v1alpha1.CloudWatchDestination{
				Region: "eu-west-1", LogGroupName: "/audit/shop",
				Auth: v1alpha1.Auth{Credentials: &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "aws"}}},
			},
		},
	}
}

func expectCondition(t *testing.T, trail *v1alpha1.AuditTrail, kind string, status metav1.ConditionStatus, reason string) {
	t.Helper()
	g := NewWithT(t)
	c := conditions.Get(trail, kind)
	g.Expect(c).NotTo(BeNil(), kind)
	g.Expect(*c).To(And(HaveField("Status", status), HaveField("Reason", reason)), kind+": "+c.Message)
	g.Expect(c.ObservedGeneration).To(Equal(trail.Generation))
}

func TestTrailReconciler(t *testing.T) {
	c := startTrailClient(t)
	for name, test := range map[string]func(*testing.T, *trailRig){
		"the happy path, with trailing newlines":   testTrailHappyPath,
		"every failure has its reason":             testTrailFailures,
		"an unchanging failure writes status once": testTrailQuietFailure,
		"another account holds delivery":           testTrailAccountChange,
		"throttling does not flip Ready":           testTrailThrottling,
		"a refused retention does not stop it":     testTrailRetention,
		"ClusterOnly and suspend":                  testTrailClusterOnly,
		"deletion waits, then deletes the stream":  testTrailDeletion,
		"deletion gives up":                        testTrailDeletionGivesUp,
		"pending recording is polled":              testTrailRecordingPending,
		"a role needs a grant":                     testTrailRoleGrant,
		"the operator's own identity":              testTrailAmbient,
		"refused credentials are got anew":         testTrailRejectedCredentials,
		"a changed identity begins anew":           testTrailIdentityChanged,
		"it follows what it refers to":             testTrailFollows,
	} {
		t.Run(name, func(t *testing.T) { test(t, newTrailRig(t, c)) })
	}
}

func testTrailHappyPath(t *testing.T, rig *trailRig) {
	g := NewWithT(t)
	namespace := rig.namespace(t)
	rig.create(t, keySecret(namespace))
	trail := cloudWatchTrail(namespace)
	rig.create(t, trail)

	result := rig.reconcile(t, trail)
	g.Expect(result.RequeueAfter).To(BeNumerically("~", 15*time.Minute, 3*time.Minute))
	expectCondition(t, trail, v1alpha1.ReadyCondition, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	g.Expect(trail.Finalizers).To(ConsistOf(v1alpha1.TrailFinalizer))
	g.Expect(trail.Status.Scope).To(Equal(v1alpha1.ScopeProject))
	g.Expect(trail.Status.Destination).To(Equal("eu-west-1:/audit/shop"))
	g.Expect(trail.Status.LogStreamName).To(Equal("c1/" + namespace + "/changes"))
	g.Expect(trail.Status.CallerIdentity.AccountID).To(Equal(awstest.Account))
	g.Expect(*trail.Status.StreamCreatedByOperator).To(BeTrue())
	g.Expect(rig.aws.Calls("GetCallerIdentity")[0].KeyID).To(Equal("AKIA1"))
	g.Expect(rig.events).To(HaveLen(1))

	// Delivery's part of the status survives ours, and who made the stream is not forgotten once it is there.
	delivery := v1alpha1.AuditTrailStatus{Delivery: &v1alpha1.DeliveryStatus{ResourceVersion: "7", Delivered: 3}}
	delivery.Conditions = []metav1.Condition{{
		Type: v1alpha1.DeliveringCondition, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonUnreachable, LastTransitionTime: metav1.Now(),
	}}
	g.Expect(patch.Status(t.Context(), rig.client, patch.DeliveryOwner, trail, delivery)).To(Succeed())
	rig.aws.On("DescribeLogStreams", func(awstest.Call) awstest.Answer {
		return awstest.Answer{Body: fmt.Sprintf(`{"logStreams":[{"logStreamName":%[1]q,"arn":"arn:aws:logs:eu-west-1:123456789012:log-group:/audit/shop:log-stream:%[1]s"}]}`, trail.Status.LogStreamName)}
	})
	rig.reconcile(t, trail)
	expectCondition(t, trail, v1alpha1.ReadyCondition, metav1.ConditionFalse, v1alpha1.ReasonUnreachable)
	g.Expect(trail.Status.Delivery.Delivered).To(Equal(int64(3)))
	g.Expect(conditions.Get(trail, v1alpha1.DeliveringCondition)).NotTo(BeNil())
	g.Expect(*trail.Status.StreamCreatedByOperator).To(BeTrue())
	g.Expect(trail.Status.LogGroupARN).To(Equal("arn:aws:logs:eu-west-1:123456789012:log-group:/audit/shop"))
}

func testTrailFailures(t *testing.T, rig *trailRig) {
	role := func(trail *v1alpha1.AuditTrail) {
		rig.grant(t, trail.Namespace, auditRole)
		trail.Spec.CloudWatch.Auth = v1alpha1.Auth{STS: &v1alpha1.STS{RoleARN: auditRole}}
	}
	never := func(trail *v1alpha1.AuditTrail) {
		trail.Spec.CloudWatch.LogGroupCreationPolicy = v1alpha1.LogGroupCreationNever
	}
	const credentials, destination = v1alpha1.CredentialsValidCondition, v1alpha1.DestinationReadyCondition
	cases := map[string]struct {
		secret          map[string]string
		change          func(*v1alpha1.AuditTrail)
		operation, code string
		kind, reason    string
	}{
		"Secret missing":      {kind: credentials, reason: v1alpha1.ReasonSecretNotFound},
		"key missing":         {secret: map[string]string{"AWS_ACCESS_KEY_ID": "AKIA1"}, kind: credentials, reason: v1alpha1.ReasonSecretKeyMissing},
		"wrong key":           {secret: goodKeys, operation: "GetCallerIdentity", code: "InvalidClientTokenId", kind: credentials, reason: v1alpha1.ReasonInvalidAccessKey},
		"wrong secret":        {secret: goodKeys, operation: "GetCallerIdentity", code: "SignatureDoesNotMatch", kind: credentials, reason: v1alpha1.ReasonSignatureMismatch},
		"role not assumable":  {change: role, operation: "AssumeRole", code: "AccessDenied", kind: credentials, reason: v1alpha1.ReasonRoleNotAssumable},
		"action not allowed":  {secret: goodKeys, operation: "CreateLogStream", code: "AccessDeniedException", kind: destination, reason: v1alpha1.ReasonActionNotAllowed},
		"group missing/Never": {secret: goodKeys, change: never, operation: "DescribeLogStreams", code: "ResourceNotFoundException", kind: destination, reason: v1alpha1.ReasonLogGroupNotFound},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			rig := newTrailRig(t, rig.client)
			namespace := rig.namespace(t)
			if c.secret != nil {
				rig.create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "aws"}, StringData: c.secret})
			}
			if c.operation != "" {
				rig.aws.Fail(c.operation, c.code)
			}
			trail := cloudWatchTrail(namespace)
			if c.change != nil {
				c.change(trail)
			}
			rig.create(t, trail)
			g.Expect(rig.reconcile(t, trail).RequeueAfter).To(Equal(10 * time.Second))
			expectCondition(t, trail, c.kind, metav1.ConditionFalse, c.reason)
			expectCondition(t, trail, v1alpha1.ReadyCondition, metav1.ConditionFalse, c.reason)
			expectCondition(t, trail, v1alpha1.RecordingCondition, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
		})
	}
}

var goodKeys = map[string]string{"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "s3cr3t"}

func testTrailQuietFailure(t *testing.T, rig *trailRig) {
	g := NewWithT(t)
	trail := cloudWatchTrail(rig.namespace(t))
	rig.create(t, trail)
	rig.reconcile(t, trail)
	version := trail.ResourceVersion
	for range 3 {
		rig.clock.SetTime(rig.clock.Now().Add(time.Hour))
		rig.reconcile(t, trail)
	}
	g.Expect(trail.ResourceVersion).To(Equal(version))
	g.Expect(rig.events).To(ConsistOf(HavePrefix("Warning SecretNotFound")))
}

func testTrailAccountChange(t *testing.T, rig *trailRig) {
	g := NewWithT(t)
	namespace := rig.namespace(t)
	rig.create(t, keySecret(namespace))
	trail := cloudWatchTrail(namespace)
	rig.create(t, trail)
	rig.reconcile(t, trail)

	const other = "222222222222"
	rig.aws.On("GetCallerIdentity", func(awstest.Call) awstest.Answer {
		return awstest.Answer{Body: "<Arn>arn:aws:iam::" + other + ":user/other</Arn>"}
	})
	rig.reconcile(t, trail)
	expectCondition(t, trail, v1alpha1.CredentialsValidCondition, metav1.ConditionFalse, v1alpha1.ReasonAccountChanged)
	g.Expect(trail.Status.CallerIdentity.AccountID).To(Equal(awstest.Account))
	_, err := rig.reconciler.Streams.Open(t.Context(), trail)
	g.Expect(err).To(MatchError(ContainSubstring(other)), "delivery must not get a stream")

	trail.Annotations = map[string]string{v1alpha1.AcceptAccountAnnotation: other}
	g.Expect(rig.client.Update(t.Context(), trail)).To(Succeed())
	rig.reconcile(t, trail)
	expectCondition(t, trail, v1alpha1.ReadyCondition, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	g.Expect(trail.Status.CallerIdentity.AccountID).To(Equal(other))
}

func testTrailThrottling(t *testing.T, rig *trailRig) {
	namespace := rig.namespace(t)
	rig.create(t, keySecret(namespace))
	trail := cloudWatchTrail(namespace)
	rig.create(t, trail)
	rig.reconcile(t, trail)
	rig.aws.Fail("DescribeLogStreams", "ThrottlingException")
	rig.aws.Fail("GetCallerIdentity", "Throttling")
	rig.reconcile(t, trail)
	expectCondition(t, trail, v1alpha1.ReadyCondition, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
}

func testTrailRetention(t *testing.T, rig *trailRig) {
	namespace := rig.namespace(t)
	rig.create(t, keySecret(namespace))
	rig.aws.Fail("DescribeLogGroups", "AccessDeniedException")
	rig.aws.Fail("PutRetentionPolicy", "AccessDeniedException")
	trail := cloudWatchTrail(namespace)
	days := int32(365)
	trail.Spec.CloudWatch.RetentionInDays = &days
	rig.create(t, trail)
	rig.reconcile(t, trail)
	expectCondition(t, trail, v1alpha1.RetentionManagedCondition, metav1.ConditionFalse, v1alpha1.ReasonActionNotAllowed)
	expectCondition(t, trail, v1alpha1.ReadyCondition, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
}

func testTrailClusterOnly(t *testing.T, rig *trailRig) {
	g := NewWithT(t)
	trail := &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: rig.namespace(t), Name: "local"},
		Spec:       v1alpha1.AuditTrailSpec{Type: v1alpha1.TrailTypeClusterOnly},
	}
	rig.create(t, trail)
	rig.reconcile(t, trail)
	expectCondition(t, trail, v1alpha1.DestinationReadyCondition, metav1.ConditionTrue, v1alpha1.ReasonClusterOnly)
	expectCondition(t, trail, v1alpha1.ReadyCondition, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)

	on := true
	trail.Spec.Suspend = &on
	g.Expect(rig.client.Update(t.Context(), trail)).To(Succeed())
	rig.reconcile(t, trail)
	expectCondition(t, trail, v1alpha1.RecordingCondition, metav1.ConditionFalse, v1alpha1.ReasonSuspended)
	expectCondition(t, trail, v1alpha1.ReadyCondition, metav1.ConditionFalse, v1alpha1.ReasonSuspended)

	g.Expect(rig.client.Delete(t.Context(), trail)).To(Succeed())
	rig.reconcile(t, trail)
	g.Expect(rig.client.Get(t.Context(), client.ObjectKeyFromObject(trail), trail)).To(MatchError(ContainSubstring("not found")))
}

func testTrailDeletion(t *testing.T, rig *trailRig) {
	g := NewWithT(t)
	namespace := rig.namespace(t)
	rig.create(t, keySecret(namespace))
	trail := cloudWatchTrail(namespace)
	trail.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDeleteStream
	rig.create(t, trail)
	rig.reconcile(t, trail)
	g.Expect(rig.client.Delete(t.Context(), trail)).To(Succeed())

	g.Expect(rig.reconcile(t, trail).RequeueAfter).To(Equal(drainPoll))
	expectCondition(t, trail, v1alpha1.ReadyCondition, metav1.ConditionFalse, v1alpha1.ReasonDeleting)
	g.Expect(rig.aws.Calls("DeleteLogStream")).To(BeEmpty())

	rig.drained.Store(true)
	rig.unclosed.Store(true)
	g.Expect(rig.reconcile(t, trail).RequeueAfter).To(Equal(drainPoll))
	g.Expect(conditions.Get(trail, v1alpha1.ReadyCondition).Message).To(ContainSubstring("the ledger's last checkpoint is not written"))
	g.Expect(rig.aws.Calls("DeleteLogStream")).To(BeEmpty())

	rig.unclosed.Store(false)
	made := true
	g.Expect(patch.Status(t.Context(), rig.client, patch.DeliveryOwner, trail, v1alpha1.AuditTrailStatus{
		Ledger: &v1alpha1.LedgerStatus{LogStreamName: trail.Status.LogStreamName + ".ledger", StreamCreatedByOperator: &made},
	})).To(Succeed())
	rig.reconcile(t, trail)
	g.Expect(rig.aws.Calls("DeleteLogStream")).To(ConsistOf(
		HaveField("Body", ContainSubstring(fmt.Sprintf("%q", trail.Status.LogStreamName))),
		HaveField("Body", ContainSubstring(fmt.Sprintf("%q", trail.Status.LogStreamName+".ledger")))))
	g.Expect(rig.client.Get(t.Context(), client.ObjectKeyFromObject(trail), trail)).To(MatchError(ContainSubstring("not found")))
}

func testTrailDeletionGivesUp(t *testing.T, rig *trailRig) {
	g := NewWithT(t)
	trail := cloudWatchTrail(rig.namespace(t))
	rig.create(t, trail)
	rig.reconcile(t, trail)
	g.Expect(rig.client.Delete(t.Context(), trail)).To(Succeed())
	rig.reconcile(t, trail)
	rig.clock.SetTime(rig.clock.Now().Add(drainTimeout + time.Minute))
	rig.reconcile(t, trail)
	g.Expect(rig.client.Get(t.Context(), client.ObjectKeyFromObject(trail), trail)).To(MatchError(ContainSubstring("not found")))
	g.Expect(rig.events).To(ContainElement(And(HavePrefix("Warning LeftBehind"), ContainSubstring("not delivered"))))
}

func testTrailRecordingPending(t *testing.T, rig *trailRig) {
	g := NewWithT(t)
	rig.recorded.Store(false)
	namespace := rig.namespace(t)
	rig.create(t, keySecret(namespace))
	trail := cloudWatchTrail(namespace)
	rig.create(t, trail)
	g.Expect(rig.reconcile(t, trail).RequeueAfter).To(Equal(firstPoll))
	expectCondition(t, trail, v1alpha1.ReadyCondition, metav1.ConditionFalse, v1alpha1.ReasonWebhookPending)
	for range 5 {
		rig.reconcile(t, trail)
	}
	g.Expect(rig.aws.Calls("GetCallerIdentity")).To(HaveLen(1), "AWS is not polled with the webhook configuration")
	rig.clock.SetTime(rig.clock.Now().Add(verifiedFor))
	rig.reconcile(t, trail)
	g.Expect(rig.aws.Calls("GetCallerIdentity")).To(HaveLen(2))
	rig.recorded.Store(true)
	rig.reconcile(t, trail)
	expectCondition(t, trail, v1alpha1.ReadyCondition, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
}

func TestRetryAfter(t *testing.T) {
	g := NewWithT(t)
	g.Expect(new(checkSchedule).retryAfter(v1alpha1.ReasonSecretNotFound, 0)).To(Equal(10 * time.Second))
	g.Expect(new(checkSchedule).retryAfter(v1alpha1.ReasonSecretNotFound, 119*time.Second)).To(Equal(10 * time.Second))
	g.Expect(new(checkSchedule).retryAfter(v1alpha1.ReasonSecretNotFound, 2*time.Minute)).To(BeNumerically("~", time.Minute, 12*time.Second))
	g.Expect(new(checkSchedule).retryAfter(v1alpha1.ReasonSecretNotFound, 24*time.Hour)).To(And(BeNumerically("<=", 15*time.Minute), BeNumerically(">", 9*time.Minute)))
	g.Expect(new(checkSchedule).retryAfter(v1alpha1.ReasonWebhookPending, 0)).To(Equal(500 * time.Millisecond))
	g.Expect(new(checkSchedule).retryAfter(v1alpha1.ReasonWebhookPending, time.Hour)).To(Equal(30 * time.Second))
}
