// Package audit turns an admission request into AuditEvents: it classifies the request, diffs the objects, redacts
// what must not be seen and reads the note.
//
// It is pure: no client, no clock, no randomness. What leaves this package holds no value that was to be redacted.
package audit
