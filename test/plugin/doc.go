// Package plugin runs the kubectl plugin against a real API server: what it prints is compared with golden files (-update writes
// them), and what it proves with records that the operator itself delivered to a simulated CloudWatch Logs.
package plugin
