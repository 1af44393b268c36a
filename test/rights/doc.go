// Package rights compares what the operator may do in the API server with what it does, as the API server's own audit log has it,
// with TRAILKEEPER_SOAK=1 (make soak).
package rights
