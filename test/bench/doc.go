// Command bench measures Trailkeeper on a real kube-apiserver and etcd, and compares the figures with their targets.
//
// It prints Markdown tables and writes a JSON list of name, value and unit. It exits with 1 when a target is missed, or
// when it could not measure. `make bench` runs it; ARGS=--short takes seconds and says nothing about targets, and --pprof=ADDRESS has the
// manager serve its profiles.
package main
