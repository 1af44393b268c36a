package delivery

import (
	"context"
	"errors"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
)

const (
	// entryTimeout bounds the calls that write one entry, beside the opening of the stream.
	entryTimeout = 30 * time.Second
	// closeTimeout bounds the last entry of a courier that was told to stop.
	closeTimeout = 6 * time.Second
	// closeTries is how often it is tried.
	closeTries = 2
)

// writing is one try to write the pending entry. What it found out may be read once done is closed.
type writing struct {
	done   chan struct{}
	cancel context.CancelFunc
	made   *bool
	err    error
}

// begin writes the pending entry, which has been committed.
func (s *scribe) begin(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := &writing{done: make(chan struct{}), cancel: cancel}
	s.writing = w
	trail, message, claimed := s.trail(), s.book.Pending, claims(&s.book)
	s.group.Go(func() {
		defer s.wake()
		defer close(w.done)
		w.made, w.err = s.putEntry(ctx, trail, message, claimed)
	})
}

// collect takes account of a try that has ended; it returns whether one has.
func (s *scribe) collect(ctx context.Context) bool {
	w := s.writing
	if w == nil {
		return false
	}
	select {
	case <-w.done:
	default:
		return false
	}
	w.cancel()
	s.writing = nil
	switch {
	case errors.Is(w.err, errUnclaimed):
		s.claim()
	case w.err != nil:
		s.fail(ctx, w.err)
	default:
		s.written(ctx, w.made)
	}
	return true
}

// finish waits for the try that is under way, at most until the context ends: then it is broken off.
func (s *scribe) finish(ctx context.Context) {
	if s == nil || s.writing == nil {
		return
	}
	select {
	case <-s.writing.done:
	case <-ctx.Done():
		s.writing.cancel()
		<-s.writing.done
	}
	s.collect(ctx)
}

// abandon breaks off what is under way.
func (s *scribe) abandon() {
	if s == nil || s.writing == nil {
		return
	}
	s.writing.cancel()
	<-s.writing.done
}

// tend does what is due about the ledger without waiting for it. It returns whether there is something to commit at once.
func (s *scribe) tend(ctx context.Context, at *cursor, committed *v1alpha1.LedgerStatus, idle bool) (commit bool) {
	if s == nil {
		return false
	}
	commit = s.collect(ctx) && idle
	now := s.clock().Now()
	if s.writing != nil || now.Before(s.retryAt) {
		return commit
	}
	if s.due(at, idle, now) {
		if err := s.compose(ctx, at); err != nil {
			s.fail(ctx, err)
			return commit
		}
		return true
	}
	if s.book.Pending != "" && committed != nil && committed.Pending == s.book.Pending {
		if claims(committed) != claims(&s.book) {
			return true
		}
		s.begin(ctx)
	}
	return commit
}

// accountFor has the ledger tell of refused records of the batch that follows the cursor.
// heads are those of the chain after each record of the batch.
func (c *courier) accountFor(ctx context.Context, refused []refusal, heads []ledger.Head) {
	for _, each := range refused {
		before := c.at.head
		if each.first > 0 {
			before = heads[each.first-1]
		}
		c.scribe.refuse(ctx, before, heads[each.first+each.count-1], each.reason)
	}
}

// closeLedger writes what is still to be written, and a last checkpoint, when the cursor has been committed for the last time.
func (c *courier) closeLedger(ctx context.Context) error {
	s := c.scribe
	if s == nil {
		return nil
	}
	short, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	s.finish(short)
	for tries := 0; s.book.Pending != "" || s.begun() && s.open(&c.at); {
		if s.book.Pending == "" {
			if err := s.compose(short, &c.at); err != nil {
				return err
			}
		}
		if err := c.commit(short); err != nil { // Nothing is written before it is committed.
			return err
		}
		claimed := claims(&s.book)
		s.begin(short)
		s.finish(short)
		if s.book.Pending == "" || claims(&s.book) != claimed {
			continue
		}
		if tries++; tries == closeTries || short.Err() != nil {
			log.FromContext(ctx).Info("The last entry of the ledger is left to whoever delivers next")
			break
		}
	}
	return c.commit(ctx)
}
