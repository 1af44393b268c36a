package api_test

import (
	"context"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// patience is within which the API server acts on a new policy or role binding.
const patience = 30 * time.Second

// env is one control plane for all tests of this package: none of them changes what another one relies on.
var env *testenv.Env

func TestMain(m *testing.M) {
	testenv.Main(m, testenv.Options{ControllerManager: true}, func(ctx context.Context, made *testenv.Env) error {
		env = made
		return env.InstallOperator(ctx)
	})
}

// clientOf is a client that has unknown fields refused, as kubectl does.
func clientOf(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	c, err := client.New(config, client.Options{})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return client.WithFieldValidation(c, "Strict")
}

func operatorClient(t *testing.T) client.Client {
	t.Helper()
	config, err := env.ServiceAccountConfig(t.Context(), testenv.OperatorNamespace, testenv.OperatorServiceAccount)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return clientOf(t, config)
}

// edit names fields of an object by their path and gives each a value; a nil value removes the field.
type edit map[string]any

// apply returns a copy of the object with the fields changed.
func (e edit) apply(t *testing.T, object *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	edited := object.DeepCopy()
	for path, value := range e {
		fields := strings.Split(path, ".")
		if value == nil {
			unstructured.RemoveNestedField(edited.Object, fields...)
			continue
		}
		NewWithT(t).Expect(unstructured.SetNestedField(edited.Object, value, fields...)).To(Succeed())
	}
	return edited
}

func object(kind, namespace, name string, spec map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetAPIVersion("audit.trailkeeper.dev/v1alpha1")
	u.SetKind(kind)
	u.SetNamespace(namespace)
	u.SetName(name)
	return u
}

// withoutCancel is the test's context for clean-up, which runs after the test's own context has ended.
func withoutCancel(t *testing.T) context.Context {
	t.Helper()
	return context.WithoutCancel(t.Context())
}
