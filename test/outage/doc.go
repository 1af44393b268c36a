// Package outage has the operator work while CloudWatch Logs is away for long: what waits is packed, more than may wait is
// turned away, and all that was recorded arrives once and in order.
package outage
