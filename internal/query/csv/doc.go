// Package csv writes rows of a query as RFC 4180: a header, stable columns, UTF-8, one row at a time.
//
// It owns the columns and what keeps a spreadsheet from running a cell as a formula. It must not read anything.
package csv
