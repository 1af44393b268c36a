package spill

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"

	bolt "go.etcd.io/bbolt"
)

// Bounds of one transaction: enough to share an fsync, small enough that nobody waits long for the others' bytes.
const (
	groupRequests = 256
	groupBytes    = 4 << 20
)

// request asks the committer for one change: a record to put, or keys to remove.
type request struct {
	put    []byte
	remove []entry
	done   chan error
}

// entry is a stored record's key and what it takes of the bound.
type entry struct {
	key    []byte
	cost   int64
	record Record
}

func costOf(value []byte) int64 { return int64(len(value) + recordOverhead) }

// submit hands a request to the committer and waits for its transaction.
func (s *Store) submit(ctx context.Context, req request) error {
	req.done = make(chan error, 1)
	select {
	case s.requests <- req:
	case <-s.closing:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-req.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// commitLoop is the only writer of the file. Whoever arrives while one transaction is being synced shares the
// next: no timer is needed, so a lone append waits for nothing but its own fsync. (bbolt's Batch waits for its
// MaxBatchDelay instead; BenchmarkAppend compares the two.)
//
// The channel is unbuffered on purpose: a request is either with the committer, and will be answered, or still with
// its caller, who sees Close.
func (s *Store) commitLoop() {
	for {
		select {
		case first := <-s.requests:
			s.commit(s.gather(first))
		case <-s.closing:
			return
		}
	}
}

// gather takes the requests that are waiting already. It yields once before, so that those whom the last transaction
// has just answered can come with their next: without it two groups of half the size take turns.
func (s *Store) gather(first request) []request {
	runtime.Gosched()
	group, size := []request{first}, len(first.put)
	for len(group) < groupRequests && size < groupBytes {
		select {
		case next := <-s.requests:
			group, size = append(group, next), size+len(next.put)
		default:
			return group
		}
	}
	return group
}

// commit stores a group in one transaction and answers each of its requests.
func (s *Store) commit(group []request) {
	length, bytes := s.length.Load(), s.bytes.Load()
	accepted := group[:0]
	for _, req := range group {
		for _, gone := range req.remove {
			length, bytes = length-1, bytes-gone.cost
		}
		if req.put != nil {
			if bytes+costOf(req.put) > s.maxBytes {
				req.done <- fmt.Errorf("%w (%d records, %d of %d bytes)", ErrFull, length, bytes, s.maxBytes)
				continue
			}
			length, bytes = length+1, bytes+costOf(req.put)
		}
		accepted = append(accepted, req)
	}
	if len(accepted) == 0 {
		return
	}
	err := s.db.Update(func(tx *bolt.Tx) error { return apply(tx, accepted) })
	if err == nil {
		s.length.Store(length)
		s.bytes.Store(bytes)
	}
	for _, req := range accepted {
		req.done <- err
	}
}

func apply(tx *bolt.Tx, group []request) error {
	bucket := tx.Bucket(eventsBucket)
	bucket.FillPercent = 0.95 // keys only grow, so a page that is split is never written to again
	for _, req := range group {
		for _, gone := range req.remove {
			if err := bucket.Delete(gone.key); err != nil {
				return fmt.Errorf("removing a replayed record: %w", err)
			}
		}
		if req.put == nil {
			continue
		}
		sequence, err := bucket.NextSequence()
		if err != nil {
			return fmt.Errorf("numbering a record: %w", err)
		}
		if err := bucket.Put(binary.BigEndian.AppendUint64(nil, sequence), req.put); err != nil {
			return fmt.Errorf("storing a record: %w", err)
		}
	}
	return nil
}
