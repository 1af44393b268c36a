//go:build tools

// Package oldest pins the Kubernetes programs of the oldest release that is supported; hack/control-plane.sh builds them when it is
// asked to. It is a module of its own because one module has one version of each Kubernetes library.
package oldest

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
)
