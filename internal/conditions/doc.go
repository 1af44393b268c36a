// Package conditions sets the conditions of AuditTrails and sums them up in Ready.
//
// It owns how a condition is written; it must not decide what is true, and it talks to nobody.
package conditions
