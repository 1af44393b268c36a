// Package ledger chains a trail's delivered records by sequence number and hash, signs what the chain has come to, and
// verifies both, so that a reader can drop repeated records and prove that none is missing or changed.
//
// Records are in the trail's log stream; beside them, in a stream of its own, are entries: signed statements of how far the
// chain was, which key signs, and which records the destination refused. docs/ledger.md describes both for readers with
// other tools.
//
// It is pure: it neither reads events nor sends records, and it keeps no key.
package ledger
