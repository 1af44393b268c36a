package install

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	namespace = testenv.OperatorNamespace
	release   = "trailkeeper"
	// patience is within which the control plane and the operator act.
	patience = 60 * time.Second
	polling  = 50 * time.Millisecond
)

// One control plane serves all tests, which leave nothing in it but the CRDs.
var (
	env *testenv.Env
	// admin may do everything; adminKubeconfig is the same for programs.
	admin           client.Client
	adminKubeconfig string
)

func TestMain(m *testing.M) {
	options := testenv.Options{ControllerManager: true, WithoutCRDs: true}
	testenv.Main(m, options, func(_ context.Context, made *testenv.Env) (err error) {
		env = made
		if admin, err = testenv.NewClient(env.Admin()); err != nil {
			return err
		}
		adminKubeconfig, err = env.WriteKubeconfig(env.Admin(), "admin")
		return err
	})
}

// helm runs Helm as an administrator of the control plane, with nothing of the user's own.
func helm(t *testing.T, arguments ...string) (string, error) {
	t.Helper()
	program := os.Getenv("TRAILKEEPER_HELM")
	if program == "" {
		program = filepath.Join(env.Root, "bin", "helm")
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("Helm is needed: run `make helm`, or set TRAILKEEPER_HELM: %v", err)
	}
	return command(t, nil, program, arguments...)
}

// kubectl runs kubectl as an administrator, with the text as its standard input.
func kubectl(t *testing.T, input string, arguments ...string) (string, error) {
	t.Helper()
	return command(t, []byte(input), env.Kubectl(), arguments...)
}

func command(t *testing.T, input []byte, program string, arguments ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program, arguments...)
	cmd.Dir = env.Root
	cmd.Stdin = bytes.NewReader(input)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+adminKubeconfig, "HELM_NAMESPACE="+namespace,
		"HELM_CACHE_HOME="+dir, "HELM_CONFIG_HOME="+dir, "HELM_DATA_HOME="+dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %v: %w: %s%s", filepath.Base(program), arguments, err, stderr.Bytes(), stdout.Bytes())
	}
	return stdout.String(), nil
}

// render is what the chart makes of values, such as --set=replicas=3.
func render(t *testing.T, values ...string) []*unstructured.Unstructured {
	t.Helper()
	g := NewWithT(t)
	text, err := helm(t, append([]string{"template", release, "charts/trailkeeper"}, values...)...)
	g.Expect(err).NotTo(HaveOccurred())
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(text)), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); err != nil {
			g.Expect(err).To(MatchError("EOF"))
			return objects
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// find is the one object of a kind and a name.
func find(t *testing.T, objects []*unstructured.Unstructured, kind, name string) *unstructured.Unstructured {
	t.Helper()
	for _, object := range objects {
		if object.GetKind() == kind && object.GetName() == name {
			return object
		}
	}
	t.Fatalf("there is no %s %s", kind, name)
	return nil
}
