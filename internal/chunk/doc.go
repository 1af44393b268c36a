// Package chunk packs events that wait for their destination into compressed chunks, and reads them back one by one. It is
// pure: it knows no API server, and decides nothing about when to pack.
//
// A chunk is gzip of JSON, one event on a line, in the order of their resourceVersions: with base64 and zcat it can be read
// without Trailkeeper.
package chunk
