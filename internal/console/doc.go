// Package console is the web page on which people read the trail and keep trails: its files, and the few calls for AuditTrails
// and single AuditEvents that it makes besides those of the query API.
//
// Whatever it asks of the API server it asks with the token of the viewer: the package has no rights, keeps no session, sets no
// cookie and must not store or log a token.
package console
