package query

import (
	"time"

	"k8s.io/utils/lru"
)

// Memory is what readings leave for later ones, which are faster for it and find the same. It is safe for concurrent use; a nil one
// remembers nothing.
type Memory struct {
	// chunks are the Spans of chunks, by uid: nobody can tell them without unpacking the chunk, which is immutable.
	chunks *lru.Cache
	// paces are how fast events followed one another in a namespace.
	paces *lru.Cache
	// oldest are the names of trails' oldest events, by the trail's uid.
	oldest *lru.Cache
}

const (
	// maxIndexed bounds the chunks that are remembered, and maxKnown the namespaces and trails: a hundred bytes each.
	maxIndexed = 10_000
	maxKnown   = 2_000
)

// NewMemory makes a Memory, which takes at most two megabytes.
func NewMemory() *Memory {
	return &Memory{chunks: lru.New(maxIndexed), paces: lru.New(maxKnown), oldest: lru.New(maxKnown)}
}

// pace is how fast events followed one another where a reading ended, and about how large they were.
type pace struct {
	apart time.Duration
	bytes int
}

func (m *Memory) chunk(uid string) (names Span, ok bool) {
	if m == nil {
		return Span{}, false
	}
	return recall[Span](m.chunks, uid)
}

func (m *Memory) keepChunk(uid string, names Span) {
	if m != nil {
		m.chunks.Add(uid, names)
	}
}

func (m *Memory) pace(namespace string) (pace, bool) {
	if m == nil {
		return pace{}, false
	}
	return recall[pace](m.paces, namespace)
}

func (m *Memory) keepPace(namespace string, seen pace) {
	if m != nil {
		m.paces.Add(namespace, seen)
	}
}

func (m *Memory) oldestName(trailUID string) (name string, ok bool) {
	if m == nil {
		return "", false
	}
	return recall[string](m.oldest, trailUID)
}

func (m *Memory) keepOldestName(trailUID, name string) {
	if m != nil {
		m.oldest.Add(trailUID, name)
	}
}

func recall[V any](cache *lru.Cache, key string) (value V, ok bool) {
	if kept, found := cache.Get(key); found {
		value, ok = kept.(V)
	}
	return value, ok
}
