// Package fault classifies errors by what makes them go away: a change of the spec (Terminal), a change of something
// else that the operator cannot watch (Wait), or nothing but time (every other error).
//
// It owns the classes and the rule that a fault's text is fixed. It knows neither AWS nor Kubernetes.
package fault
