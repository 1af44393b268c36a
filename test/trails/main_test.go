package trails

import (
	"context"
	"fmt"
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
	startup  = 3 * time.Minute

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

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), startup)
	defer cancel()
	aws = cloudsim.New(cloudsim.Options{Users: []cloudsim.User{own}})
	wire = &tap{next: aws, secrets: map[string]string{}}
	server := httptest.NewServer(wire)
	defer server.Close()
	err := start(ctx, server.URL)
	defer stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "Cannot start a control plane and the operator:", err)
		return 1
	}
	return m.Run()
}

func start(ctx context.Context, awsURL string) error {
	var err error
	if env, err = testenv.Start(ctx, testenv.Options{ControllerManager: true}); err != nil {
		return err
	}
	if err := env.InstallOperator(ctx); err != nil {
		return err
	}
	if admin, err = testenv.NewClient(env.Admin()); err != nil {
		return err
	}
	return startOperator(ctx, awsURL)
}

func stop() {
	if operator != nil {
		operator.Kill()
	}
	if env == nil {
		return
	}
	if err := env.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "Cannot stop the control plane:", err)
	}
}

// startOperator runs the built operator as its own service account, and has it log all that it can.
func startOperator(ctx context.Context, awsURL string) error {
	options, err := env.NewManager(ctx, "operator")
	if err != nil {
		return err
	}
	operatorConfig = options.Identity
	options.Env = []string{
		"AWS_ENDPOINT_URL=" + awsURL, "AWS_ACCESS_KEY_ID=" + own.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + own.SecretAccessKey,
		"AWS_SESSION_TOKEN=", "AWS_PROFILE=", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
	}
	options.Args = []string{"--cluster-id=" + clusterID, "--leader-elect=false", "--zap-log-level=10"}
	operator, err = env.StartManager(ctx, options)
	return err
}
