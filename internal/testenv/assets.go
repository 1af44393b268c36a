package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// RepositoryRoot is the folder of the repository that the working directory is in.
func RepositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "config", "crd", "bases")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the working directory is not inside Trailkeeper's repository: start this from its root")
		}
		dir = parent
	}
}

// assetsDir is where the control plane's programs are: KUBEBUILDER_ASSETS, or else where `make control-plane` puts them.
func assetsDir(root string) (string, error) {
	dir := os.Getenv("KUBEBUILDER_ASSETS")
	if dir == "" {
		dir = filepath.Join(root, "bin", "control-plane")
	}
	for _, program := range []string{"etcd", "kube-apiserver", "kubectl"} {
		if _, err := os.Stat(filepath.Join(dir, program)); err != nil {
			return "", fmt.Errorf("%s is not in %s: run `make control-plane`, or set KUBEBUILDER_ASSETS", program, dir)
		}
	}
	return dir, nil
}
