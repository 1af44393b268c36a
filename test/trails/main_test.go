package trails

import (
	"context"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	// patience is within which the operator acts. A trail that is well it looks at every 15 min by itself, so what is
	// noticed within this was noticed because it was followed.
	patience = 60 * time.Second
	polling  = 50 * time.Millisecond

	clusterID = "trails"
	region    = "eu-west-1"
	accountID = cloudsim.DefaultAccountID
)

// own is the operator's identity at AWS. It may assume roles, and has the rights of a trail, for those that are ambient.
var own = cloudsim.User{
	Name: "operator", AccessKeyID: "AKIAOPERATOR00000000", SecretAccessKey: "operators-own/secret+access-key-0001",
	Policy: cloudsim.Allow("sts:AssumeRole", "logs:*"),
}

// One control plane, one AWS and one operator serve all tests; each works in namespaces of its own.
var (
	env      *testenv.Env
	operator *testenv.Manager
	aws      *cloudsim.Simulator
	wire     *tap
	admin    client.Client
	// operatorConfig has the token with which the operator proves itself to the API server.
	operatorConfig *rest.Config
)

// soak says that the long forms of the tests are to run.
func soak() bool { return os.Getenv("TRAILKEEPER_SOAK") != "" }

func TestMain(m *testing.M) {
	testenv.Main(m, testenv.Options{ControllerManager: true}, start)
}

func start(ctx context.Context, made *testenv.Env) error {
	env, aws = made, cloudsim.New(cloudsim.Options{Users: []cloudsim.User{own}})
	wire = &tap{next: aws, secrets: map[string]string{}}
	server := httptest.NewServer(wire)
	env.Defer(server.Close)
	if err := env.InstallOperator(ctx); err != nil {
		return err
	}
	var err error
	if admin, err = testenv.NewClient(env.Admin()); err != nil {
		return err
	}
	return startOperator(ctx, server.URL)
}

// startOperator runs the built operator as its own service account, and has it log all that it can.
func startOperator(ctx context.Context, awsURL string) error {
	options, err := env.NewManager(ctx, "operator")
	if err != nil {
		return err
	}
	operatorConfig = options.Identity
	options.Env = testenv.AWSEnv(awsURL, own.AccessKeyID, own.SecretAccessKey)
	options.Args = []string{"--cluster-id=" + clusterID, "--leader-elect=false", "--zap-log-level=10"}
	if operator, err = env.StartManager(ctx, options); err != nil {
		return err
	}
	env.Defer(func() { operator.Kill() }) // Tests may start another one.
	return nil
}
