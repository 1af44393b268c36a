// Package recorder answers the API server's admission calls: it decides which trails want a request, and records an
// AuditEvent for each of them before the request is admitted.
//
// It runs on every replica and keeps no state that a restart would lose. It never refuses a change, but for trails
// whose failurePolicy is Fail when the change can be recorded nowhere.
package recorder
