package spill

import (
	"context"
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
	if err := s.submit(context.WithoutCancel(ctx), request{remove: slices.Collect(maps.Values(s.written))}); err != nil {
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

// oldest copies the first records out of the file: a read transaction that stayed open while they are written
// would keep bbolt from reusing pages.
func (s *Store) oldest() ([]entry, error) {
	var batch []entry
	err := s.db.View(func(tx *bolt.Tx) error {
		size := 0
		cursor := tx.Bucket(eventsBucket).Cursor()
		for key, value := cursor.First(); key != nil; key, value = cursor.Next() {
			if len(batch) == replayRecords || (len(batch) > 0 && size+len(value) > replayBytes) {
				return nil
			}
			if _, done := s.written[string(key)]; done {
				continue
			}
			record, err := decode(value)
			if err != nil {
				return fmt.Errorf("record %x: %w", key, err)
			}
			batch = append(batch, entry{key: append([]byte(nil), key...), cost: costOf(value), record: record})
			size += len(value)
		}
		return nil
	})
	return batch, err
}
