package spill

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	bolt "go.etcd.io/bbolt"
)

// DefaultMaxBytes is the bound on the records of a store when Options does not set one: about 100,000 events.
const DefaultMaxBytes = 256 << 20

const fileName = "spill.db"

var eventsBucket = []byte("events")

var (
	// ErrFull is returned by Append while the store holds as much as it may.
	ErrFull = errors.New("the spill store is full: events arrive faster than the API server takes them; raise its limit, or find out why they cannot be written")
	// ErrClosed is returned once Close was called.
	ErrClosed = errors.New("the spill store is closed")
	// ErrLocked is returned by Open when another process uses the directory.
	ErrLocked = errors.New("another process uses it: give each replica a directory of its own, or stop the other process")
)

// Options of a store.
type Options struct {
	// MaxBytes bounds the sum of the records, DefaultMaxBytes when 0. The files may take up to about twice as much,
	// because bbolt stores whole pages and reuses free ones without returning them, and journalBytes beside that.
	MaxBytes int64
	// Parallel is how many records Replay writes at a time, 1 when 0. With more than 1 the order holds only
	// between batches.
	Parallel int
	// Log receives what happens to a damaged file. The zero value logs nothing.
	Log logr.Logger
}

// Store is an append-only file of records, with a journal in front. Its methods may be called from any goroutine.
type Store struct {
	db *bolt.DB
	// journal is in front of db; nil when the disk had no room for it.
	journal  *journal
	maxBytes int64
	parallel int
	setAside string

	mu sync.Mutex
	// waiting are the requests that are in no group yet, each of a caller that waits for it; committing says that somebody commits one, and
	// idle tells when nobody does.
	waiting    []*request
	committing bool
	idle       *sync.Cond
	closed     bool

	appended chan struct{}
	replay   chan struct{}
	// written are records that were written and not removed yet; it belongs to whoever replays.
	written map[string]entry

	length, bytes atomic.Int64
	// lastAppend is when that was, in nanoseconds since the store was opened.
	lastAppend atomic.Int64
	opened     time.Time
	// sequence is the number of the last record; it belongs to whoever commits.
	sequence uint64

	closeOnce sync.Once
	closeErr  error
}

// Open opens the store of dir, making both when they are missing. A damaged file is renamed, and the store starts
// empty; Damaged tells its new name. It fails with ErrLocked when another process has the store open.
func Open(dir string, options Options) (*Store, error) {
	path := filepath.Join(dir, fileName)
	opened, err := openFile(dir, path, options.Log)
	if err != nil {
		return nil, fmt.Errorf("opening the spill directory %s: %w", dir, err)
	}
	journal, err := openJournal(dir, &opened, options.Log)
	if err != nil {
		return nil, fmt.Errorf("opening the spill directory %s: %w", dir, errors.Join(err, opened.db.Close()))
	}
	if options.MaxBytes <= 0 {
		options.MaxBytes = DefaultMaxBytes
	}
	s := &Store{
		db:       opened.db,
		journal:  journal,
		sequence: opened.sequence,
		maxBytes: options.MaxBytes,
		parallel: max(options.Parallel, 1),
		setAside: opened.damaged,
		appended: make(chan struct{}, 1),
		replay:   make(chan struct{}, 1),
		written:  map[string]entry{},
		opened:   time.Now(),
	}
	s.length.Store(opened.length)
	s.bytes.Store(opened.bytes)
	s.idle = sync.NewCond(&s.mu)
	return s, nil
}

// Append stores a record. When it returns nil the record is on disk and survives the process and the machine. It
// fails with ErrFull, ErrClosed, or what the disk said. When ctx ends first the record may still be stored; it
// does not cut short what the caller itself commits.
func (s *Store) Append(ctx context.Context, record Record) error {
	if err := s.submit(ctx, &request{put: record.encode()}); err != nil {
		return fmt.Errorf("spilling event %s/%s: %w", record.Namespace, record.Name, err)
	}
	s.lastAppend.Store(int64(time.Since(s.opened)))
	select {
	case s.appended <- struct{}{}:
	default:
	}
	return nil
}

// quietFor is for how long nothing was appended.
func (s *Store) quietFor() time.Duration {
	return time.Since(s.opened) - time.Duration(s.lastAppend.Load())
}

// Len is the number of records that wait.
func (s *Store) Len() int { return int(s.length.Load()) }

// Bytes is what the records that wait take of the bound.
func (s *Store) Bytes() int64 { return s.bytes.Load() }

// Damaged is the path to which a damaged file was renamed by Open; empty when there was none.
func (s *Store) Damaged() string { return s.setAside }

// Close waits for appends under way, and releases the directory.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.mu.Lock()
		s.closed = true
		for s.committing {
			s.idle.Wait()
		}
		s.mu.Unlock()
		s.closeErr = errors.Join(s.closeJournal(), s.db.Close())
	})
	return s.closeErr
}
