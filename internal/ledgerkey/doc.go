// Package ledgerkey owns the key that signs ledgers: it makes it, reads it, and replaces it when it is old or when somebody
// asks. It never logs or prints it.
//
// One key serves the whole installation. When it is replaced, the old one signs the new one and is gone: what is kept of it
// is that endorsement, which leads readers of a ledger from one key to the next.
package ledgerkey
