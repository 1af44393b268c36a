// Package v1alpha1 holds the two kinds of the API group audit.trailkeeper.dev: AuditTrail, which says what to
// record and where to push it, and AuditEvent, the record of one change.
//
// It owns the types, their conditions and reasons, and helpers that are pure functions of them. It imports
// apimachinery only, so that other programs can use the types without the operator's dependencies.
//
// +kubebuilder:object:generate=true
// +groupName=audit.trailkeeper.dev
package v1alpha1
