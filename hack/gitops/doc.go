// Package gitops holds the tests of what Flux and Argo CD make of a trail's health: Flux's rules (kstatus), and the script for
// Argo CD in config/samples/gitops. It is a module of its own, to keep both out of the operator's.
package gitops
