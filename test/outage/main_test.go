package outage

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	// patience is within which the operator acts: events are packed when a destination has failed for 30 s, and tries
	// against it come every 30 s at the latest.
	patience = 2 * time.Minute
	polling  = 200 * time.Millisecond

	region = "eu-west-1"

	// softLimit and hardLimit are the operator's, of events that wait.
	softLimit = 200
	hardLimit = 1200
)

var own = cloudsim.User{
	Name: "operator", AccessKeyID: "AKIAOPERATOR00000000", SecretAccessKey: "operators-own/secret+access-key-0001",
	Policy: cloudsim.Allow("logs:*"),
}

// One control plane, one AWS and two replicas serve all tests.
var (
	env      *testenv.Env
	aws      *cloudsim.Simulator
	operator *testenv.Operator
	admin    client.Client
)

// isSoak says that the long forms are to run.
func isSoak() bool { return os.Getenv("TRAILKEEPER_SOAK") != "" }

func TestMain(m *testing.M) {
	if !isSoak() {
		os.Exit(m.Run()) // Which skips: test/chaos has the short form.
	}
	testenv.Main(m, testenv.Options{ControllerManager: true}, start)
}

func start(ctx context.Context, made *testenv.Env) error {
	env, aws = made, cloudsim.New(cloudsim.Options{Users: []cloudsim.User{own}})
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
		Env:      testenv.AWSEnv(server.URL, own.AccessKeyID, own.SecretAccessKey),
		Args: []string{
			fmt.Sprintf("--backlog-soft-limit=%d", softLimit), fmt.Sprintf("--backlog-hard-limit=%d", hardLimit),
			"--leader-elect-lease-duration=4s",
		},
	})
	if err == nil {
		env.Defer(operator.Close)
	}
	return err
}
