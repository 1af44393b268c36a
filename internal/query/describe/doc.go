// Package describe puts an AuditEvent into words: a sentence, the changes line by line, the note.
//
// It is pure, and knows nothing of how its text is shown: it adds no colour and escapes nothing.
package describe
