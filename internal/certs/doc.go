// Package certs makes the webhook's serving certificate, and knows its callers.
//
// It owns a certificate authority in one Secret of the operator's namespace, shared by all replicas, and a short-lived
// leaf in the memory of each. It does not serve, and it does not write the webhook configuration: it hands out the
// certificate, the bundle to verify it with, the token that the paths end in, and a notice when the bundle changes.
package certs
