// Package load makes requests at a given rate or as fast as they are answered, and says how long they took.
//
// It must not know what the requests are.
package load
