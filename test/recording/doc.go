// Package recording runs the built operator as its own service account against a real API server and shows, case by
// case, what becomes of the requests that admission sees. Its trails are of type ClusterOnly: nothing here needs AWS.
package recording
