package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	fieldOwner     = "trailkeeper-testenv"
	installTimeout = time.Minute
)

// OperatorNamespace and OperatorServiceAccount are where the manifests under config/ put the operator.
const (
	OperatorNamespace      = "trailkeeper-system"
	OperatorServiceAccount = "trailkeeper-manager"
)

// InstallCRDs applies Trailkeeper's CRDs and waits until the API server serves them.
func (e *Env) InstallCRDs(ctx context.Context) error {
	objects, err := e.Render(ctx, "config/crd")
	if err != nil {
		return err
	}
	if err := e.Apply(ctx, objects...); err != nil {
		return err
	}
	for _, object := range objects {
		if err := e.waitEstablished(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

// InstallOperator applies what the operator needs in the cluster when it runs outside of it: its namespace, its rights,
// its priority and the policies that protect its records. The manager then runs as ServiceAccountConfig(ctx,
// OperatorNamespace, OperatorServiceAccount). With Options.ControllerManager it waits until the aggregated roles have
// their rules.
func (e *Env) InstallOperator(ctx context.Context) error {
	objects, err := e.Render(ctx, "config/outside-cluster")
	if err != nil {
		return err
	}
	if err := e.Apply(ctx, objects...); err != nil {
		return err
	}
	if !e.options.ControllerManager {
		return nil
	}
	for _, name := range []string{"view", "trailkeeper-outcome-reader"} {
		if err := e.waitAggregated(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// Render returns the objects of a kustomization or of a file, named by its path in the repository.
func (e *Env) Render(ctx context.Context, path string) ([]*unstructured.Unstructured, error) {
	path = filepath.Join(e.Root, path)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading manifests: %w", err)
	}
	var content []byte
	if info.IsDir() {
		//nolint:gosec // The program is the control plane's own kubectl.
		content, err = exec.CommandContext(ctx, e.Kubectl(), "kustomize", path).Output()
	} else {
		content, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", path, withStderr(err))
	}
	return decode(content)
}

// Apply applies objects as an administrator, in their order, by server-side apply. Unknown fields are refused.
func (e *Env) Apply(ctx context.Context, objects ...*unstructured.Unstructured) error {
	c, err := client.New(e.admin, client.Options{})
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	c = client.WithFieldValidation(c, "Strict")
	for _, object := range objects {
		configuration := client.ApplyConfigurationFromUnstructured(object)
		err := c.Apply(ctx, configuration, client.FieldOwner(fieldOwner), client.ForceOwnership)
		if err != nil {
			return fmt.Errorf("applying %s %s: %w", object.GetKind(), client.ObjectKeyFromObject(object), err)
		}
	}
	return nil
}

func (e *Env) waitEstablished(ctx context.Context, crd *unstructured.Unstructured) error {
	return e.waitFor(ctx, crd, "to be established", func(live *unstructured.Unstructured) bool {
		conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
		for _, item := range conditions {
			condition, ok := item.(map[string]any)
			if ok && condition["type"] == "Established" && condition["status"] == "True" {
				return true
			}
		}
		return false
	})
}

func (e *Env) waitAggregated(ctx context.Context, clusterRole string) error {
	role := &unstructured.Unstructured{}
	role.SetAPIVersion("rbac.authorization.k8s.io/v1")
	role.SetKind("ClusterRole")
	role.SetName(clusterRole)
	return e.waitFor(ctx, role, "to get its rules", func(live *unstructured.Unstructured) bool {
		rules, _, _ := unstructured.NestedSlice(live.Object, "rules")
		return len(rules) > 0
	})
}

// waitFor reads an object until a condition holds.
func (e *Env) waitFor(
	ctx context.Context, object *unstructured.Unstructured, what string, holds func(*unstructured.Unstructured) bool,
) error {
	c, err := client.New(e.admin, client.Options{})
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	err = wait.PollUntilContextTimeout(ctx, readyInterval, installTimeout, true, func(ctx context.Context) (bool, error) {
		live := &unstructured.Unstructured{}
		live.SetGroupVersionKind(object.GroupVersionKind())
		err := c.Get(ctx, client.ObjectKeyFromObject(object), live)
		return err == nil && holds(live), nil
	})
	if err != nil {
		return fmt.Errorf("waiting for %s %s %s: %w", object.GetKind(), object.GetName(), what, err)
	}
	return nil
}

func decode(content []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading a manifest: %w", err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// withStderr adds what a program wrote to its standard error, which says more than its exit status.
func withStderr(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return err
}
