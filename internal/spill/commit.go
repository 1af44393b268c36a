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

// gather takes the requests that are waiting already. It yields before, so that those whom the last group's end has just
// answered can come with their next: without it two groups of half the size take turns. It yields again for as long as
// somebody comes meanwhile.
func (s *Store) gather(first request) []request {
	runtime.Gosched()
	group, size := []request{first}, len(first.put)
	came := false
	for len(group) < groupRequests && size < groupBytes {
		select {
		case next := <-s.requests:
			group, size, came = append(group, next), size+len(next.put), true
		default:
			if !came {
				return group
			}
			came = false
			runtime.Gosched()
		}
	}
	return group
}

// commit stores a group at once and answers each of its requests.
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
	err := s.store(accepted)
	if err == nil {
		s.length.Store(length)
		s.bytes.Store(bytes)
	}
	for _, req := range accepted {
		req.done <- err
	}
}

// store puts a group on disk: into the journal when it only adds records and there is room for them, else into the
// database, together with all that the journal holds.
func (s *Store) store(group []request) error {
	var puts [][]byte
	var removed map[string]bool
	size := 0
	for _, req := range group {
		if req.put != nil {
			puts, size = append(puts, req.put), size+len(req.put)
		}
		for _, gone := range req.remove {
			if removed == nil {
				removed = map[string]bool{}
			}
			removed[string(gone.key)] = true
		}
	}
	var err error
	if removed == nil && s.journal.fits(len(puts), size) {
		err = s.journal.append(s.sequence+1, puts)
	} else {
		err = s.move(puts, removed)
	}
	if err == nil {
		s.sequence += uint64(len(puts))
	}
	return err
}

// move changes the database in one transaction, and takes the journal's frames into it.
func (s *Store) move(puts [][]byte, removed map[string]bool) error {
	frames, err := s.journal.frames()
	if err != nil {
		return err
	}
	for i, put := range puts {
		frames = append(frames, frame{sequence: s.sequence + 1 + uint64(i), value: put})
	}
	err = s.db.Update(func(tx *bolt.Tx) error {
		bucket := tx.Bucket(eventsBucket)
		for key := range removed {
			if err := bucket.Delete([]byte(key)); err != nil {
				return fmt.Errorf("removing a replayed record: %w", err)
			}
		}
		return moveFrames(bucket, frames, removed)
	})
	if err == nil {
		s.journal.reset()
	}
	return err
}

// moveFrames stores frames in the database, but for those that were removed, and that it has them all.
func moveFrames(bucket *bolt.Bucket, frames []frame, removed map[string]bool) error {
	if len(frames) == 0 {
		return nil
	}
	bucket.FillPercent = 0.95 // keys only grow, so a page that is split is never written to again
	for _, f := range frames {
		key := keyOf(f.sequence)
		if removed[string(key)] {
			continue
		}
		if err := bucket.Put(key, f.value); err != nil {
			return fmt.Errorf("storing a record: %w", err)
		}
	}
	return bucket.SetSequence(frames[len(frames)-1].sequence)
}

// keyOf is a record's key in the database.
func keyOf(sequence uint64) []byte { return binary.BigEndian.AppendUint64(nil, sequence) }

// closeJournal empties the journal when it can. What cannot move now is found there at the next start.
func (s *Store) closeJournal() error {
	if s.journal == nil {
		return nil
	}
	_ = s.move(nil, nil)
	return s.journal.file.Close()
}
