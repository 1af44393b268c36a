// Package chaos checks that a destination ends up with every event once, in order and unchanged, whatever goes wrong between the
// cluster and it.
//
// A short form runs with every `go test`; TRAILKEEPER_SOAK=1 runs the long one. TRAILKEEPER_SEED repeats a run's choices,
// though not its timing.
package chaos
