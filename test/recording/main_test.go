package recording

import (
	"context"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	// patience is within which controllers and caches act.
	patience = 30 * time.Second
	// person makes the changes. She may do everything, as a user, not as a member of system:masters.
	person = "alice"
)

// One control plane and one operator serve all tests. Tests that disturb the others are sequential, and each of the
// parallel ones works in a namespace of its own.
var (
	env      *testenv.Env
	operator *testenv.Manager
	// options start the operator, again after a test killed it.
	options testenv.ManagerOptions
	// admin looks on; its changes are recorded like everybody's, so tests do not make theirs with it.
	admin client.Client
	alice *kubernetes.Clientset
	// aliceConfig makes further clients of hers.
	aliceConfig *rest.Config
	// aliceClient knows Trailkeeper's kinds.
	aliceClient client.Client
)

func TestMain(m *testing.M) {
	testenv.Main(m, testenv.Options{ControllerManager: true, AuditLog: true}, start)
}

func start(ctx context.Context, made *testenv.Env) error {
	env = made
	if err := env.InstallOperator(ctx); err != nil {
		return err
	}
	if err := makeClients(ctx); err != nil {
		return err
	}
	return startOperator(ctx)
}

func makeClients(ctx context.Context) error {
	var err error
	if admin, err = testenv.NewClient(env.Admin()); err != nil {
		return err
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: person},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: person}},
	}
	if err := admin.Create(ctx, binding); err != nil {
		return err
	}
	if aliceConfig, err = env.AddUser(person, "developers"); err != nil {
		return err
	}
	if alice, err = kubernetes.NewForConfig(aliceConfig); err != nil {
		return err
	}
	aliceClient, err = testenv.NewClient(aliceConfig)
	return err
}

// startOperator runs the built operator as its own service account, always at the same address.
func startOperator(ctx context.Context) error {
	var err error
	if options, err = env.NewManager(ctx, "operator"); err != nil {
		return err
	}
	// Nobody listens there: trails that push find no AWS.
	options.Env = []string{"AWS_ENDPOINT_URL=http://127.0.0.1:1", "AWS_EC2_METADATA_DISABLED=true"}
	options.Args = []string{"--cluster-id=recording", "--leader-elect=false", "--drain-timeout=3s"}
	if operator, err = env.StartManager(ctx, options); err != nil {
		return err
	}
	env.Defer(func() { operator.Kill() }) // Tests may have started another one.
	return nil
}
