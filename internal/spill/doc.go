// Package spill keeps events in a local file until they can be written to the API server.
//
// It owns one bbolt file per directory, with a small journal in front: append with an fsync before the answer, a bound on
// its size, and replay in order of arrival. It does not know what a record means: the body is opaque, and whoever replays
// decides where it goes. It never drops a record; a damaged file is kept beside the new one.
package spill
