// Package certs makes the webhook's serving certificate.
//
// It owns a certificate authority in one Secret of the operator's namespace, shared by all replicas, and a short-lived
// leaf in the memory of each. It does not serve, and it does not write the webhook configuration: it hands out the
// certificate, the bundle to verify it with, and a notice when the bundle changes.
package certs
