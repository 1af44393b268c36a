package delivery

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/chunk"
)

const (
	// chunkTimeout bounds one read or write of a chunk.
	chunkTimeout = 30 * time.Second
	// envelope is about what a stored chunk has besides its data, in bytes.
	envelope = 1 << 10
	// openings is how many chunks all couriers together fetch at once: what an answer takes in memory is several times
	// what is kept of it.
	openings = 2
	// countEvery is how often it is looked how much all trails have in chunks.
	countEvery = 10 * time.Second
)

// chunks stores packed events as AuditEventChunks in the operator's namespace, where the deletion of a trail's namespace
// does not reach them.
type chunks struct {
	client    client.Client
	namespace string
	clock     clock.PassiveClock
	slots     chan struct{}

	mu      sync.Mutex
	bytes   int64
	counted time.Time
}

func newChunks(c client.Client, namespace string, clock clock.PassiveClock) *chunks {
	return &chunks{client: c, namespace: namespace, clock: clock, slots: make(chan struct{}, openings)}
}

// packedEvents is a stored chunk without its events.
type packedEvents struct {
	name        string
	uid         types.UID
	first, last uint64
	count       int64
	bytes       int64
}

func chunkName(trail types.UID, first uint64) string { return fmt.Sprintf("%s-%020d", trail, first) }

// of lists a trail's chunks that have events past the cursor, oldest first.
func (s *chunks) of(ctx context.Context, trail types.UID, cursor uint64) ([]packedEvents, error) {
	list, err := s.list(ctx, client.MatchingLabels{v1alpha1.TrailUIDLabel: string(trail)})
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(p packedEvents) bool { return p.last <= cursor })
	slices.SortFunc(list, func(x, y packedEvents) int { return cmp.Compare(x.first, y.first) })
	return list, nil
}

// List reads metadata only. It does not page: there are few, and an API server answers from memory what has no limit.
func (s *chunks) list(ctx context.Context, options ...client.ListOption) ([]packedEvents, error) {
	ctx, cancel := context.WithTimeout(ctx, chunkTimeout)
	defer cancel()
	page := &metav1.PartialObjectMetadataList{}
	page.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("AuditEventChunkList"))
	if err := s.client.List(ctx, page, append(options, client.InNamespace(s.namespace))...); err != nil {
		return nil, fmt.Errorf("listing AuditEventChunks: %w", err)
	}
	list := make([]packedEvents, len(page.Items))
	for i := range page.Items {
		var err error
		if list[i], err = describe(&page.Items[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// describe reads a chunk's metadata.
func describe(object *metav1.PartialObjectMetadata) (packedEvents, error) {
	name := object.Name
	first, err1 := strconv.ParseUint(name[max(0, len(name)-20):], 10, 64)
	last, err2 := strconv.ParseUint(object.Annotations[v1alpha1.ChunkLastAnnotation], 10, 64)
	count, err3 := strconv.ParseInt(object.Annotations[v1alpha1.ChunkCountAnnotation], 10, 64)
	bytes, err4 := strconv.ParseInt(object.Annotations[v1alpha1.ChunkBytesAnnotation], 10, 64)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return packedEvents{}, fmt.Errorf("reading the metadata of AuditEventChunk %s: %w", name, err)
	}
	return packedEvents{name: name, uid: object.UID, first: first, last: last, count: count, bytes: bytes}, nil
}

// total is about how many bytes of etcd all trails' chunks take.
func (s *chunks) total(ctx context.Context) (int64, error) {
	s.mu.Lock()
	known, counted := s.bytes, s.counted
	s.mu.Unlock()
	if !counted.IsZero() && s.clock.Since(counted) < countEvery {
		return known, nil
	}
	list, err := s.list(ctx)
	if err != nil {
		return 0, err
	}
	known = 0
	for i := range list {
		known += list[i].bytes
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes, s.counted = known, s.clock.Now()
	return known, nil
}

// NewChunk is a chunk of a trail as it is stored in the operator's namespace.
func NewChunk(namespace string, trail *v1alpha1.AuditTrail, packed *chunk.Packed) *v1alpha1.AuditEventChunk {
	return &v1alpha1.AuditEventChunk{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace,
			Name:      chunkName(trail.UID, packed.First),
			Labels:    map[string]string{v1alpha1.TrailUIDLabel: string(trail.UID)},
			Annotations: map[string]string{
				v1alpha1.ChunkLastAnnotation:  apijson.FormatVersion(packed.Last),
				v1alpha1.ChunkCountAnnotation: strconv.Itoa(packed.Count),
				v1alpha1.ChunkBytesAnnotation: strconv.FormatInt(storedSize(packed), 10),
			},
		},
		Spec: v1alpha1.AuditEventChunkSpec{
			TrailRef:             v1alpha1.TrailReference{Namespace: trail.Namespace, Name: trail.Name, UID: string(trail.UID)},
			FirstResourceVersion: apijson.FormatVersion(packed.First),
			LastResourceVersion:  apijson.FormatVersion(packed.Last),
			Count:                int64(packed.Count),
			Encoding:             v1alpha1.ChunkJSONLinesGzip,
			Checksum:             packed.Checksum,
			Data:                 packed.Data,
		},
	}
}

// storedSize is about what a chunk takes in etcd, in bytes.
func storedSize(packed *chunk.Packed) int64 {
	return int64(base64.StdEncoding.EncodedLen(len(packed.Data)) + envelope)
}

// store stores a chunk of a trail. One that begins with the same event was stored by an earlier try, or by another
// replica: then errStored says that what is stored has to be looked at.
func (s *chunks) store(ctx context.Context, trail *v1alpha1.AuditTrail, packed *chunk.Packed) (packedEvents, error) {
	ctx, cancel := context.WithTimeout(ctx, chunkTimeout)
	defer cancel()
	bytes, object := storedSize(packed), NewChunk(s.namespace, trail, packed)
	err := s.client.Create(ctx, object)
	if apierrors.IsAlreadyExists(err) {
		return packedEvents{}, errStored
	}
	if err != nil {
		return packedEvents{}, fmt.Errorf("storing AuditEventChunk %s: %w", object.Name, err)
	}
	s.mu.Lock()
	s.bytes += bytes
	s.mu.Unlock()
	return packedEvents{
		name: object.Name, uid: object.UID, first: packed.First, last: packed.Last, count: int64(packed.Count), bytes: bytes,
	}, nil
}

// errStored says that a chunk with the same first event is there already.
var errStored = errors.New("these events are packed already")

// open reads a chunk; nil when it is gone.
func (s *chunks) open(ctx context.Context, name string) (*chunk.Reader, error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, chunkTimeout)
	defer cancel()
	var object v1alpha1.AuditEventChunk
	err := s.client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, &object)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading AuditEventChunk %s: %w", name, err)
	}
	spec := &object.Spec
	first, err1 := apijson.ParseVersion(spec.FirstResourceVersion)
	last, err2 := apijson.ParseVersion(spec.LastResourceVersion)
	if err := errors.Join(err1, err2); err != nil {
		return nil, &unreadableError{name, err}
	}
	if spec.Encoding != v1alpha1.ChunkJSONLinesGzip {
		return nil, &unreadableError{name, fmt.Errorf("its encoding %q is not known", spec.Encoding)}
	}
	reader, err := chunk.NewReader(&chunk.Packed{
		First: first, Last: last, Count: int(spec.Count), Checksum: spec.Checksum, Data: spec.Data,
	})
	if err != nil {
		return nil, &unreadableError{name, err}
	}
	return reader, nil
}

// unreadableError says that a stored chunk is damaged.
type unreadableError struct {
	name string
	err  error
}

func (e *unreadableError) Error() string {
	return "AuditEventChunk " + e.name + " cannot be read: " + e.err.Error()
}

func (e *unreadableError) Unwrap() error { return e.err }

// remove deletes a chunk whose events are delivered.
func (s *chunks) remove(ctx context.Context, p *packedEvents) error {
	ctx, cancel := context.WithTimeout(ctx, chunkTimeout)
	defer cancel()
	object := &v1alpha1.AuditEventChunk{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: p.name}}
	err := s.client.Delete(ctx, object, client.Preconditions{UID: &p.uid})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("deleting AuditEventChunk %s: %w", p.name, err)
	}
	s.mu.Lock()
	s.bytes = max(0, s.bytes-p.bytes)
	s.mu.Unlock()
	return nil
}
