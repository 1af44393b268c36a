// Package cli is the commands of the kubectl plugin: what was recorded, why, whether it is whole, and what to do when
// recording does not work.
//
// It reads with the rights of whoever runs it, in the cluster and at AWS, and writes nothing but notes. What it prints came
// from others: all of it is escaped, so that it can do nothing to a terminal. It must not be imported by the operator.
package cli
