// Package e2e runs the built operator as its own service account against a real API server and an AWS endpoint that
// enforces IAM, and compares what was recorded and delivered with the API server's own audit log.
package e2e
