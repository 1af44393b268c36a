// Package query asks the query API of a real API server's AuditEvents: with which rights, what for, page by page, and through the
// operator's own port.
package query
