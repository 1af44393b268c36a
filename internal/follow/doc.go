// Package follow tells when an object that trails refer to changes: a Secret, a service account.
//
// It owns one watch of metadata for each such object, by its name, because that is the only kind of watch that RBAC can
// bind to a name. It must not read what is in an object, and it knows nothing of AWS.
package follow
