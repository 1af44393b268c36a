// Package gitops applies the samples in config/samples/gitops as Flux and Argo CD do, and expects that the operator never
// writes what is in Git, so that nothing there ever counts as drift.
package gitops
