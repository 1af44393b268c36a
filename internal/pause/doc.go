// Package pause waits for a time that may end early.
package pause
