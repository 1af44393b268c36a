// Package recorded is AuditEvents as delivery and judges see them: the spec as it is stored, and those of its fields that are needed.
package recorded
