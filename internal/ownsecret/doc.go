// Package ownsecret makes the operator's own Secrets, so that replicas which start together agree on what is in them.
//
// It must not look into a Secret, and never log or print one.
package ownsecret
