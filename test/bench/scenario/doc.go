// Package scenario is what the benchmark measures: changes through the recorder, the manager's use of the machine,
// the delivery of a backlog, and requests that nobody wants.
//
// It runs the built manager as its own service account against a real kube-apiserver and etcd that wait for the disk.
// Each scenario adds its figures and their targets to a report. It must not reach into the manager: what is measured
// is what a cluster would see.
package scenario
