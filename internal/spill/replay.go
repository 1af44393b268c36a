package spill

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sync/errgroup"
)

// Bounds of what Replay holds in memory at a time.
const (
	replayRecords = 64
	replayBytes   = 4 << 20
)

// Replay gives every record to write, oldest first, and removes those for which write returned nil, until the store
// is empty. It stops at the first error, returns it, and keeps the rest. A record whose removal was cut short by a
// crash is given again, so write must accept a record that it has seen. Concurrent calls take turns.
func (s *Store) Replay(ctx context.Context, write func(context.Context, Record) error) error {
	select {
	case s.replay <- struct{}{}:
		defer func() { <-s.replay }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for {
		batch, err := s.oldest()
		if err != nil {
			return fmt.Errorf("reading spilled events: %w", err)
		}
		if len(batch) == 0 {
			return s.removeWritten(ctx)
		}
		written, failure := s.writeBatch(ctx, batch, write)
		for _, done := range written {
			s.written[string(done.key)] = done
		}
		// A disk that is too full to remove records must not keep those behind them from being written.
		removal := s.removeWritten(ctx)
		if failure != nil {
			return errors.Join(failure, removal)
		}
	}
}

// removeWritten removes what was written.
func (s *Store) removeWritten(ctx context.Context) error {
	if len(s.written) == 0 {
		return nil
	}
	// Not bound to ctx: what was written must not be written again at every start.
	if err := s.submit(context.WithoutCancel(ctx), &request{remove: slices.Collect(maps.Values(s.written))}); err != nil {
		return fmt.Errorf("removing replayed events: %w", err)
	}
	clear(s.written)
	return nil
}

// Oldest is the name of the record that waits longest; empty when none does.
func (s *Store) Oldest() string {
	name := ""
	// A file that cannot be read is found out by whoever replays it.
	_ = s.db.View(func(tx *bolt.Tx) error {
		_, value := tx.Bucket(eventsBucket).Cursor().First()
		if value == nil {
			value = s.journal.oldest()
		}
		if value == nil {
			return nil
		}
		record, err := decode(value)
		name = record.Name
		return err
	})
	return name
}

// writeBatch writes a batch, and returns what was written also when something failed.
func (s *Store) writeBatch(ctx context.Context, batch []entry, write func(context.Context, Record) error) ([]entry, error) {
	var mu sync.Mutex
	var written []entry
	var failure error
	failed := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return failure != nil
	}
	var group errgroup.Group
	group.SetLimit(s.parallel)
	for _, next := range batch {
		group.Go(func() error {
			if failed() || ctx.Err() != nil {
				return nil
			}
			err := write(ctx, next.record)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				written = append(written, next)
			} else if failure == nil {
				failure = fmt.Errorf("replaying event %s/%s: %w", next.record.Namespace, next.record.Name, err)
			}
			return nil
		})
	}
	_ = group.Wait() // the functions report through failure, so that those under way are not cancelled
	if failure == nil && len(written) < len(batch) {
		failure = context.Cause(ctx)
	}
	return written, failure
}

// oldest copies the first records out of the files: a read transaction that stayed open while they are written
// would keep bbolt from reusing pages.
func (s *Store) oldest() ([]entry, error) {
	// The journal comes first: what moves meanwhile is then seen twice rather than not at all.
	frames, err := s.journal.frames()
	if err != nil {
		return nil, err
	}
	var batch batch
	var last uint64
	err = s.db.View(func(tx *bolt.Tx) error {
		cursor := tx.Bucket(eventsBucket).Cursor()
		for key, value := cursor.First(); key != nil && !batch.full; key, value = cursor.Next() {
			last = binary.BigEndian.Uint64(key)
			if err := batch.add(s.written, key, value); err != nil {
				return err
			}
		}
		return nil
	})
	for _, f := range frames {
		if err != nil || batch.full {
			break
		}
		if f.sequence > last {
			err = batch.add(s.written, keyOf(f.sequence), f.value)
		}
	}
	return batch.entries, err
}

// batch is what Replay holds in memory at a time.
type batch struct {
	entries []entry
	size    int
	full    bool
}

// add copies a record, unless it was written already or there is no room for it.
func (b *batch) add(written map[string]entry, key, value []byte) error {
	if _, done := written[string(key)]; done {
		return nil
	}
	if len(b.entries) == replayRecords || len(b.entries) > 0 && b.size+len(value) > replayBytes {
		b.full = true
		return nil
	}
	record, err := decode(value)
	if err != nil {
		return fmt.Errorf("record %x: %w", key, err)
	}
	b.entries = append(b.entries, entry{key: slices.Clone(key), cost: costOf(value), record: record})
	b.size += len(value)
	return nil
}
