// Package outage has the operator work while CloudWatch Logs is away for long: what waits is packed, more than may wait is
// turned away, and all that was recorded arrives once and in order. TRAILKEEPER_SOAK=1 runs the long form, in which it is
// measured what waiting costs etcd.
package outage
