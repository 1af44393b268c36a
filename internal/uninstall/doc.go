// Package uninstall takes recording out of a cluster in the order in which no change waits for a replica that is gone: the
// webhook configurations go while replicas still answer, and stay away.
//
// It touches nothing else: trails, their events, the operator's Secrets and the CRDs are for whoever removes the rest.
package uninstall
