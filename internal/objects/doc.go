// Package objects shows the objects that events speak of: as they are, as they were at revisions that etcd still has, and whether they were
// ever there. A Reader asks again while the API server starts, and remembers what never changes.
package objects
