package plugin_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/trailkeeper/trailkeeper/internal/cli"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// patience is within which the control plane and the operator do what a test waits for, on a busy machine.
const patience = 2 * time.Minute

// env is one control plane for all tests of this package; each test has namespaces of its own.
var env *testenv.Env

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) {
	testenv.Main(m, testenv.Options{ControllerManager: true}, func(ctx context.Context, made *testenv.Env) error {
		env = made
		if err := env.InstallOperator(ctx); err != nil {
			return err
		}
		return makeScene(ctx)
	})
}

// TestPlugin has an order: the operator, once it runs, prunes what the scene's trails recorded months before.
func TestPlugin(t *testing.T) {
	t.Run("doctor without an operator", testDoctorWithoutAnOperator)
	t.Run("events", testEvents)
	t.Run("events with few rights", testEventsWithFewRights)
	t.Run("history", testHistory)
	t.Run("show", testShow)
	t.Run("hostile text", testHostileTextCanDoNothing)
	t.Run("explain", testExplain)
	t.Run("export", testExport)
	t.Run("note", testNote)
	t.Run("console", testConsole)
	t.Run("live", testLive)
}

// now is the time of day in the scene.
var now = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

// answer is what a run of the plugin said.
type answer struct {
	code     int
	out, err string
}

// plugin runs the plugin in this process, as the user whose kubeconfig it is, by the scene's clock.
func plugin(t *testing.T, kubeconfig string, args ...string) answer {
	t.Helper()
	return pluginIn(t, cli.Terminal{}, kubeconfig, args...)
}

// pluginIn is plugin in a terminal whose outputs are taken over.
func pluginIn(t *testing.T, terminal cli.Terminal, kubeconfig string, args ...string) answer {
	t.Helper()
	var out, err bytes.Buffer
	terminal.Out, terminal.Err = &out, &err
	if terminal.Clock == nil {
		terminal.Clock = clocktesting.NewFakePassiveClock(now)
	}
	args = append(args, "--kubeconfig="+kubeconfig, "--cache-dir="+t.TempDir())
	code := cli.Run(t.Context(), terminal, args)
	return answer{code, out.String(), err.String()}
}

// kubeconfigOf writes a kubeconfig.
func kubeconfigOf(t *testing.T, config *rest.Config, name string) string {
	t.Helper()
	path, err := env.WriteKubeconfig(config, name)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return path
}

func adminKubeconfig(t *testing.T) string {
	t.Helper()
	return kubeconfigOf(t, env.Admin(), "admin")
}

// varying are what differs from run to run.
var varying = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "<uid>"},
	{regexp.MustCompile(`("?resourceVersion"?: "?)[0-9]+`), "${1}<version>"},
	{regexp.MustCompile(`("?creationTimestamp"?: "?)[0-9TZ:-]+`), "${1}<now>"},
}

// golden compares everything that an answer said with a file.
func golden(t *testing.T, name string, got answer) {
	t.Helper()
	g := NewWithT(t)
	text := got.out
	if got.err != "" {
		text += "--- standard error ---\n" + got.err
	}
	text += fmt.Sprintf("--- exit code %d ---\n", got.code)
	for _, each := range varying {
		text = each.pattern.ReplaceAllString(text, each.by)
	}
	path := filepath.Join("testdata", name+".golden")
	if *update {
		g.Expect(os.WriteFile(path, []byte(text), 0o600)).To(Succeed())
	}
	want, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred(), "run the test with -update and read what it wrote")
	g.Expect(strings.Split(text, "\n")).To(Equal(strings.Split(string(want), "\n")), "the output differs from %s", path)
}
