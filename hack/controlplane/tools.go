//go:build tools

// Package controlplane pins the Kubernetes programs that hack/control-plane.sh builds from Go modules.
// It is a module of its own so that none of their hundreds of dependencies reach the operator's go.mod.
package controlplane

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
