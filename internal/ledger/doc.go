// Package ledger chains a trail's delivered records by sequence number and hash, so that a reader can drop repeated
// records and prove that none is missing or changed.
//
// It is pure: it neither reads events nor sends records.
package ledger
