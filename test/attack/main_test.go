package attack

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	// patience is within which controllers and caches act.
	patience = 60 * time.Second
	polling  = 100 * time.Millisecond

	// shared is where the attacker may do everything, and where alice works too.
	shared = "shared"
	// victim is where the attacker has no rights.
	victim = "victim"
	// own is the operator's namespace.
	own = testenv.OperatorNamespace

	attacker = "mallory"
	worker   = "alice"
	region   = "eu-west-1"
)

// operatorIdentity may assume any role, as an operator may that many teams trust.
var operatorIdentity = cloudsim.User{
	Name: "operator", AccessKeyID: "AKIAOPERATOR00000000", SecretAccessKey: "operators-own/secret+access-key-0001",
	Policy: cloudsim.Allow("sts:AssumeRole"),
}

// One control plane and one operator serve all tests.
var (
	env      *testenv.Env
	operator *testenv.Operator
	aws      *cloudsim.Simulator
	// admin looks on, alice works, and mallory may do everything in shared.
	admin, alice, mallory client.Client
	// tenant sees the whole cluster, project the shared namespace, theirs that of the victim.
	tenant, project, theirs *v1alpha1.AuditTrail
)

func TestMain(m *testing.M) {
	testenv.Main(m, testenv.Options{ControllerManager: true, AuditLog: true}, start)
}

func start(ctx context.Context, made *testenv.Env) error {
	env, aws = made, cloudsim.New(cloudsim.Options{Users: []cloudsim.User{operatorIdentity}})
	server := httptest.NewServer(aws)
	env.Defer(server.Close)
	if err := env.InstallOperator(ctx); err != nil {
		return err
	}
	var err error
	if admin, err = testenv.NewClient(env.Admin()); err != nil {
		return err
	}
	operator, err = env.StartOperator(ctx, testenv.OperatorOptions{
		Replicas: 2,
		Env:      testenv.AWSEnv(server.URL, operatorIdentity.AccessKeyID, operatorIdentity.SecretAccessKey),
		Args:     []string{"--cluster-id=attack", "--leader-elect-lease-duration=4s", "--drain-timeout=3s"},
	})
	if err != nil {
		return err
	}
	env.Defer(operator.Close)
	if err := makePeople(ctx); err != nil {
		return err
	}
	return startTrails(ctx)
}

// makePeople makes the namespaces and who works in them. What each may do is all there is, in one namespace.
func makePeople(ctx context.Context) error {
	everything := rbacv1.PolicyRule{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}
	for _, namespace := range []string{shared, victim} {
		if err := admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
			return err
		}
	}
	for _, place := range []struct{ namespace, user string }{{shared, attacker}, {shared, worker}, {victim, worker}} {
		user := rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: place.user}
		if err := testenv.Create(ctx, admin, testenv.Rights(place.namespace, place.user, user, everything)...); err != nil {
			return err
		}
	}
	var err error
	if mallory, err = person(attacker); err != nil {
		return err
	}
	alice, err = person(worker)
	return err
}

func person(name string) (client.Client, error) {
	config, err := env.AddUser(name)
	if err != nil {
		return nil, err
	}
	return testenv.NewClient(config)
}

// startTrails makes the trails and waits until each records.
func startTrails(ctx context.Context) error {
	tenant, project, theirs = clusterOnly(own, "tenant"), clusterOnly(shared, "project"), clusterOnly(victim, "theirs")
	for _, trail := range []*v1alpha1.AuditTrail{tenant, project, theirs} {
		if err := admin.Create(ctx, trail); err != nil {
			return err
		}
		if err := testenv.WaitReady(ctx, admin, trail, patience); err != nil {
			return err
		}
	}
	for trail, namespace := range map[*v1alpha1.AuditTrail]string{tenant: shared, project: shared, theirs: victim} {
		if err := waitRecording(ctx, trail, namespace); err != nil {
			return err
		}
	}
	return nil
}

// clusterOnly is a trail that pushes nowhere, with the default rules unless it is given others.
func clusterOnly(namespace, name string, rules ...v1alpha1.Rule) *v1alpha1.AuditTrail {
	return &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.AuditTrailSpec{Type: v1alpha1.TrailTypeClusterOnly, Rules: rules},
	}
}
