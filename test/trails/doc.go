// Package trails runs the built operator as its own service account against a real API server and the simulator of
// CloudWatch Logs and STS, and changes what trails prove their identity with while they work: Secrets, service accounts,
// grants, keys at AWS.
//
// With TRAILKEEPER_SOAK=1 (make soak) it does so for longer.
package trails
