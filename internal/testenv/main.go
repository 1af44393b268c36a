package testenv

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

// setUpTimeout bounds the making of what a package's tests share.
const setUpTimeout = 5 * time.Minute

// Main is a TestMain: it starts one control plane for all tests of a package, has setUp make what they share, runs them, and
// exits. What setUp starts it ends by Defer.
func Main(m *testing.M, options Options, setUp func(context.Context, *Env) error) {
	os.Exit(run(m, options, setUp))
}

func run(m *testing.M, options Options, setUp func(context.Context, *Env) error) int {
	ctx, cancel := context.WithTimeout(context.Background(), setUpTimeout)
	defer cancel()
	env, err := Start(ctx, options)
	if err != nil {
		fmt.Fprintln(os.Stderr, "Cannot start a control plane:", err)
		return 1
	}
	defer func() {
		if err := env.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "Cannot stop the control plane:", err)
		}
	}()
	if err := setUp(ctx, env); err != nil {
		fmt.Fprintln(os.Stderr, "Cannot make what the tests share:", err)
		return 1
	}
	return m.Run()
}

// Defer has something be done when the control plane is to be stopped, before that: what was deferred last comes first.
func (e *Env) Defer(end func()) { e.ends = append(e.ends, end) }

// AWSEnv are the variables that have a program take AWS to be at a URL, with these keys and nothing of whoever runs the tests.
func AWSEnv(url, accessKeyID, secretAccessKey string) []string {
	return []string{
		"AWS_ENDPOINT_URL=" + url, "AWS_ACCESS_KEY_ID=" + accessKeyID, "AWS_SECRET_ACCESS_KEY=" + secretAccessKey,
		"AWS_SESSION_TOKEN=", "AWS_PROFILE=", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
	}
}
