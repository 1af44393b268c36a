// Package query finds AuditEvents: it filters, orders, pages and merges what several places hold.
//
// Places are the API server (Cluster), events that wait for a destination, packed (Backlog), and whatever else a caller gives
// as a Place, such as log groups. Everything is read with the rights of the clients that the caller gives: this package knows
// no rights of its own. It reads pages and never a whole list, and must not write anything.
package query
