package query_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// env is one control plane for all tests of this package.
var env *testenv.Env

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var err error
	if env, err = testenv.Start(ctx, testenv.Options{ControllerManager: true}); err != nil {
		fmt.Fprintln(os.Stderr, "Cannot start a control plane:", err)
		return 1
	}
	defer func() { _ = env.Stop() }()
	if err := env.InstallOperator(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "Cannot install what the operator needs:", err)
		return 1
	}
	return m.Run()
}
