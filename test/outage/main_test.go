package outage

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	// patience is within which the operator acts: events are packed when a destination has failed for 30 s, and tries
	// against it come every 30 s at the latest.
	patience = 2 * time.Minute
	polling  = 200 * time.Millisecond
	startup  = 3 * time.Minute
	region   = "eu-west-1"

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

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if !isSoak() {
		return m.Run() // Which skips: test/chaos has the short form.
	}
	ctx, cancel := context.WithTimeout(context.Background(), startup)
	defer cancel()
	aws = cloudsim.New(cloudsim.Options{Users: []cloudsim.User{own}})
	server := httptest.NewServer(aws)
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
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	config := env.Admin()
	config.QPS = -1
	if admin, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	operator, err = env.StartOperator(ctx, testenv.OperatorOptions{
		Replicas: 2,
		Env: []string{
			"AWS_ENDPOINT_URL=" + awsURL, "AWS_ACCESS_KEY_ID=" + own.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + own.SecretAccessKey,
			"AWS_SESSION_TOKEN=", "AWS_PROFILE=", "AWS_EC2_METADATA_DISABLED=true",
			"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
		},
		Args: []string{
			fmt.Sprintf("--backlog-soft-limit=%d", softLimit), fmt.Sprintf("--backlog-hard-limit=%d", hardLimit),
			"--leader-elect-lease-duration=4s",
		},
	})
	return err
}

func stop() {
	if operator != nil {
		operator.Close()
	}
	if env == nil {
		return
	}
	if err := env.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "Cannot stop the control plane:", err)
	}
}
