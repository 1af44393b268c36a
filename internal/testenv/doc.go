// Package testenv starts a real Kubernetes control plane (etcd, kube-apiserver and, when asked, kube-controller-manager and
// kube-scheduler) on loopback for tests, the demo and the benchmarks, with users, service accounts and the API server's own
// audit log.
//
// It also runs the built operator outside of the cluster, grants rights as owners of namespaces do, and tells when a trail is
// ready and records.
//
// It owns the processes and files that it makes, and leaves nothing behind after Stop. It must not know how the operator does
// that and must not be imported by it.
package testenv
