// Package rights has the built operator do all that it can, as its own service account, and compares what the API server's
// audit log says that it did with what its Roles allow: nothing unused, nothing missing.
package rights
