// Package digestkey owns the key of the digests that stand in for redacted values.
//
// One key serves the whole installation, so that equal values have equal digests in every trail and replica, and
// nobody without the key can guess a value by trying. It makes the key and reads it; it never logs or prints it.
package digestkey
