package spill

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// Bounds of one transaction: enough to share an fsync, small enough that nobody waits long for the others' bytes.
const (
	groupRequests = 256
	groupBytes    = 4 << 20
)

// request asks for one change: a record to put, or keys to remove.
type request struct {
	put    []byte
	remove []entry
	// leads says that it is the turn of whoever asks to commit what waits.
	leads bool
	// answers has the outcome, or errLead before it.
	answers chan error
}

// errLead tells a request that waits that it leads.
var errLead = errors.New("commit what waits")

// entry is a stored record's key and what it takes of the bound.
type entry struct {
	key    []byte
	cost   int64
	record Record
}

func costOf(value []byte) int64 { return int64(len(value) + recordOverhead) }

// submit waits until a request is committed. Whoever comes while nobody commits does so, with all that have come by then; those who
// come meanwhile wait, and the first of them goes on. So a lone append waits for nothing but its own sync, in its own goroutine: to wake
// up another one and be woken by it takes a tenth of a sync on a quiet machine (BenchmarkSparseAppend). bbolt's Batch waits for its
// MaxBatchDelay instead (BenchmarkAppend).
func (s *Store) submit(ctx context.Context, req *request) error {
	req.answers = make(chan error, 1)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.waiting = append(s.waiting, req)
	alone := !s.committing
	req.leads, s.committing = alone, true
	s.mu.Unlock()
	if alone {
		return s.lead(req)
	}
	select {
	case err := <-req.answers:
		if errors.Is(err, errLead) {
			return s.lead(req)
		}
		return err
	case <-ctx.Done():
		s.abandon(req)
		return context.Cause(ctx)
	}
}

// lead commits a group, of which the first request is that of whoever leads, and leaves the next to the first that waits then.
func (s *Store) lead(req *request) error {
	s.commit(s.gather())
	s.mu.Lock()
	s.passOn()
	s.mu.Unlock()
	return <-req.answers
}

// passOn has the first that waits lead. mu is held.
func (s *Store) passOn() {
	if len(s.waiting) == 0 {
		s.committing = false
		s.idle.Broadcast()
		return
	}
	s.waiting[0].leads = true
	s.waiting[0].answers <- errLead
}

// abandon takes back a request that is in no group yet.
func (s *Store) abandon(req *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.Index(s.waiting, req)
	if at < 0 {
		return
	}
	s.waiting = slices.Delete(s.waiting, at, at+1)
	if req.leads {
		s.passOn()
	}
}

// gather takes the requests that wait. It yields before, so that those whom the last group's end has just answered can come with
// their next: without it two groups of half the size take turns. It yields again for as long as somebody comes meanwhile.
func (s *Store) gather() []*request {
	var group []*request
	for size := 0; len(group) < groupRequests && size < groupBytes; {
		runtime.Gosched()
		came := s.take(groupRequests - len(group))
		group = append(group, came...)
		for _, req := range came {
			size += len(req.put)
		}
		if len(came) == 0 || len(group) == 1 {
			break
		}
	}
	return group
}

// take removes the first requests that wait, so many at most.
func (s *Store) take(most int) []*request {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.waiting[:min(most, len(s.waiting))]
	s.waiting = s.waiting[len(taken):]
	return taken
}

// commit stores a group at once and answers each of its requests.
func (s *Store) commit(group []*request) {
	length, bytes := s.length.Load(), s.bytes.Load()
	accepted := group[:0]
	for _, req := range group {
		for _, gone := range req.remove {
			length, bytes = length-1, bytes-gone.cost
		}
		if req.put != nil {
			if bytes+costOf(req.put) > s.maxBytes {
				req.answers <- fmt.Errorf("%w (%d records, %d of %d bytes)", ErrFull, length, bytes, s.maxBytes)
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
		req.answers <- err
	}
}

// store puts a group on disk: into the journal when it only adds records and there is room for them, else into the
// database, together with all that the journal holds.
func (s *Store) store(group []*request) error {
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
