// Package awsauth turns what an AuditTrail says about authentication into AWS credentials: access keys from a Secret,
// a role assumed by the operator, a role assumed with the token of a service account, or the operator's own identity.
//
// It owns credentials, their cache, who may use the operator's identity for what, and the classification of the errors that every AWS service shares. It must not
// write to the cluster, and it never prints, logs or returns a credential in an error.
package awsauth
