// Package truth reads from the API server's own audit log what happened in a cluster, and compares it with what a trail
// says: each change must have one event, and each event a change.
//
// It judges by responses and versions, not by what the operator does, and must not use the packages that it checks, but
// for the rules by which a trail chooses requests.
package truth
