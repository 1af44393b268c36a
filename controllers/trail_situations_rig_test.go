package controllers

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/awsauth"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/follow"
)

// way is how a trail proves its identity.
type way string

const (
	viaKeys  way = "keys"
	viaRole  way = "role"
	viaToken way = "web identity"
)

var (
	everyWay = []way{viaKeys, viaRole, viaToken}
	roleWays = []way{viaRole, viaToken}
)

const (
	simGroup  = "/audit/shop"
	simRegion = "eu-west-1"
	// simSecrets is in every secret of the rig, so that none can be shown unnoticed.
	simSecrets = "s3cr3t"
)

// baseActions are the six of the published policy.
var baseActions = []string{
	"logs:DescribeLogGroups", "logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents",
	"logs:DeleteLogStream", "logs:DescribeLogStreams",
}

// situation is a trail of one way before a simulated AWS, which a row of the table changes before the first reconcile.
type situation struct {
	*cloudsim.Simulator
	way    way
	trail  *v1alpha1.AuditTrail
	secret *corev1.Secret
	// trailUser has the trail's keys, operator is who assumes the trail's role.
	trailUser, operator cloudsim.User
	role                cloudsim.Role

	client     client.Client
	clock      *clocktesting.FakePassiveClock
	reconciler *TrailReconciler
	writes     atomic.Int32
	events     []string
}

func (s *situation) Recorded(*v1alpha1.AuditTrail) bool { return true }

func (s *situation) Follow(context.Context, types.NamespacedName, ...follow.Object) {}

func (s *situation) Forget(types.NamespacedName) {}

func (s *situation) Drained(context.Context, *v1alpha1.AuditTrail) (bool, error) { return true, nil }

func (s *situation) Closed(*v1alpha1.AuditTrail) bool { return true }

func (s *situation) Eventf(_, _ runtime.Object, kind, reason, _, note string, args ...any) {
	s.events = append(s.events, fmt.Sprintf("%s %s %s", kind, reason, fmt.Sprintf(note, args...)))
}

// startSituation makes everything as it should be.
func startSituation(t *testing.T, c client.Client, how way) *situation {
	t.Helper()
	g := NewWithT(t)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "shop-"}}
	g.Expect(c.Create(t.Context(), namespace)).To(Succeed())
	s := &situation{
		way: how, client: c, clock: clocktesting.NewFakePassiveClock(time.Now()),
		trail: cloudWatchTrail(namespace.Name), secret: keySecret(namespace.Name),
		trailUser: cloudsim.User{Name: "trail", AccessKeyID: "AKIA1", SecretAccessKey: simSecrets, Policy: cloudsim.Allow(baseActions...)},
		operator:  cloudsim.User{Name: "operator", AccessKeyID: "AKIAOPERATOR", SecretAccessKey: simSecrets + "-operator"},
		role: cloudsim.Role{Name: "audit", Policy: cloudsim.Allow(baseActions...), Trust: cloudsim.Trust{
			Principals: []string{"arn:aws:iam::123456789012:user/operator"}, ExternalID: "c1/" + namespace.Name,
			Subjects: []string{"system:serviceaccount:" + namespace.Name + ":pusher"},
		}},
	}
	s.trail.Spec.CloudWatch.LogGroupName = simGroup
	if how != viaKeys {
		s.trail.Spec.CloudWatch.Auth = v1alpha1.Auth{STS: &v1alpha1.STS{RoleARN: auditRole}}
	}
	if how == viaRole {
		grantRole(t, c, namespace.Name, "arn:aws:iam::123456789012:role/*")
	}
	if how == viaToken {
		s.trail.Spec.CloudWatch.Auth.STS.ServiceAccountName = "pusher"
		g.Expect(c.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: "pusher"}})).To(Succeed())
	}
	s.Simulator = cloudsim.New(cloudsim.Options{Regions: []string{simRegion}})
	s.PutUser(s.trailUser)
	s.PutUser(s.operator)
	s.PutRole(s.role)
	url, stop, err := s.Start(t.Context(), "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(stop)
	s.startReconciler(t, url)
	return s
}

func (s *situation) startReconciler(t *testing.T, url string) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": s.operator.AccessKeyID, "AWS_SECRET_ACCESS_KEY": s.operator.SecretAccessKey,
		"AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(name, value)
	}
	auth := awsauth.New(awsauth.Options{
		Reader: s.client, Grants: s.client, Tokens: s.client, OperatorNamespace: trailOperatorNamespace, ServiceAccount: "trailkeeper-manager", ClusterID: "c1",
	})
	s.reconciler = &TrailReconciler{
		Client: &countingClient{Client: s.client, writes: &s.writes}, Reader: s.client, Events: s, Clock: s.clock,
		Auth: auth, Streams: cloudwatch.NewOpener(auth, "c1"), Recorded: s, Drainer: s, Follower: s,
		OperatorNamespace: trailOperatorNamespace, DrainTimeout: drainTimeout,
	}
	s.reconciler.checks.spread = func(d time.Duration) time.Duration { return d }
}

// permit replaces what the trail's identity may do, whichever it is.
func (s *situation) permit(policy cloudsim.Policy) {
	s.trailUser.Policy, s.role.Policy = policy, policy
	s.PutUser(s.trailUser)
	s.PutRole(s.role)
}

// without permits the base policy but for one action.
func without(action string) cloudsim.Policy {
	var actions []string
	for _, a := range baseActions {
		if a != action {
			actions = append(actions, a)
		}
	}
	return cloudsim.Allow(actions...)
}

// apply creates what the trail needs, and the trail.
func (s *situation) apply(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	if s.way == viaKeys && s.secret != nil {
		g.Expect(s.client.Create(t.Context(), s.secret)).To(Succeed())
	}
	g.Expect(s.client.Create(t.Context(), s.trail)).To(Succeed())
}

// reconcile runs one reconciliation and reads the trail back.
func (s *situation) reconcile(t *testing.T) ctrl.Result {
	t.Helper()
	g := NewWithT(t)
	key := client.ObjectKeyFromObject(s.trail)
	result, err := s.reconciler.Reconcile(t.Context(), ctrl.Request{NamespacedName: key})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(client.IgnoreNotFound(s.client.Get(t.Context(), key, s.trail))).To(Succeed())
	return result
}

// run lets so much time pass, reconciling whenever the reconciler asked for it.
func (s *situation) run(t *testing.T, after, longest time.Duration) {
	t.Helper()
	end := s.clock.Now().Add(longest)
	for after > 0 && !s.clock.Now().Add(after).After(end) {
		s.clock.SetTime(s.clock.Now().Add(after))
		after = s.reconcile(t).RequeueAfter
	}
}

// countingClient counts writes of status.
type countingClient struct {
	client.Client
	writes *atomic.Int32
}

func (c *countingClient) Status() client.SubResourceWriter {
	return &countingWriter{c.Client.Status(), c.writes}
}

type countingWriter struct {
	client.SubResourceWriter
	writes *atomic.Int32
}

func (w *countingWriter) Apply(ctx context.Context, object runtime.ApplyConfiguration, options ...client.SubResourceApplyOption) error {
	w.writes.Add(1)
	return w.SubResourceWriter.Apply(ctx, object, options...)
}
