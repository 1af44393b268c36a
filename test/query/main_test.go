package query_test

import (
	"context"
	"testing"

	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// env is one control plane for all tests of this package.
var env *testenv.Env

func TestMain(m *testing.M) {
	testenv.Main(m, testenv.Options{ControllerManager: true}, func(ctx context.Context, made *testenv.Env) error {
		env = made
		return env.InstallOperator(ctx)
	})
}
