// Package oracle compares what trails say with what the API server's own audit log says, after a random workload by many
// users, while things fail.
//
// A short form runs with every `go test`; TRAILKEEPER_SOAK=1 runs the long one, with every fault. TRAILKEEPER_SEED
// repeats a run's choices, though not its timing.
package oracle
