// Package report holds what a benchmark measured, compares it with its targets, and writes it as Markdown and as JSON.
//
// It must not measure anything itself.
package report
