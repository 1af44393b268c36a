// Package rules decides which trails want a request, and tells the API server which requests to send.
//
// It compiles AuditTrails into a Set. A Set answers for one request, without allocating, which trails record it and at
// which level; and it compiles the same rules into the entries of a ValidatingWebhookConfiguration, so that what nobody
// wants never leaves the API server. The entries may let too much through, for the recorder matches again; they must
// never hold back what a trail wants.
//
// The package is pure: it reads no cluster and no clock, and must not decode objects.
package rules
