// Package httpapi answers questions about AuditEvents over HTTP: the audits API that Palette's clients speak, a richer form of its
// own, and CSV.
//
// Everything in the API server is read with the caller's token, which is forwarded and never kept or logged. What has no rights of
// its own, packed events, is read with the operator's, and what a trail pushed to its log group with that trail's identity, after the API server has said that this caller may list
// AuditEvents in the trails' namespace. Apart from a note, which the caller's token writes, the package changes nothing.
package httpapi
