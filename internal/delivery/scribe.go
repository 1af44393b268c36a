package delivery

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/ledgerkey"
)

const (
	// checkpointEvery is the time between two checkpoints of a trail that has events, on average.
	checkpointEvery = time.Hour
	// gapEvery is how long refused records are collected for one entry.
	gapEvery = time.Minute
	// maxGaps bounds the rows of refused records that wait for an entry.
	maxGaps = 64
)

// Ledger is what delivery needs to keep the ledgers of trails.
type Ledger struct {
	// Open returns the log stream of a trail's ledger.
	Open func(ctx context.Context, trail *v1alpha1.AuditTrail) (Sink, error)
	// Streams are the names of a trail's log stream and of its ledger's.
	Streams func(trail *v1alpha1.AuditTrail) (records, ledger string)
	// Signer returns the key that signs now.
	Signer func(ctx context.Context) (ledgerkey.Signer, error)
	// Cluster is the cluster's id.
	Cluster string
	// Every is the time between checkpoints. Default an hour.
	Every time.Duration
}

// scribe keeps one trail's ledger. An entry is composed, committed into the trail's status, and then written beside delivery,
// which waits for nothing of it. So there is one entry of each number, whoever leads, and one that was written twice is
// the same twice. A nil scribe keeps none.
type scribe struct {
	*Ledger
	delivery *Delivery
	trail    func() *v1alpha1.AuditTrail
	// every is this trail's time between checkpoints: not all trails have theirs at the same moment.
	every time.Duration
	// book is the ledger's state as it is to be committed.
	book v1alpha1.LedgerStatus
	// writing is the entry that is being written; nil when none is. Its goroutine is of group, and whoever ends the courier waits
	// for it.
	writing *writing
	group   sync.WaitGroup
	retry   *wait.Backoff
	retryAt time.Time
	// wake tells the courier that writing ended.
	wake func()
}

// newScribe goes on where the trail's status says.
func (d *Delivery) newScribe(c *courier, trail *v1alpha1.AuditTrail) *scribe {
	if d.Ledger == nil || trail.Spec.CloudWatch == nil {
		return nil
	}
	every := d.Ledger.Every
	s := &scribe{
		Ledger:   d.Ledger,
		delivery: d,
		trail:    c.trail.Load,
		every:    every - every/10 + rand.N(every/5+1), //nolint:gosec // Spreading load needs no secrecy.
		retry:    ledgerBackoff(),
		wake:     c.box.signal,
	}
	if trail.Status.Ledger != nil {
		trail.Status.Ledger.DeepCopyInto(&s.book)
		s.show()
	}
	return s
}

// ledgerBackoff is the pause between tries to write an entry: a second growing to ten minutes, with jitter.
func ledgerBackoff() *wait.Backoff {
	return &wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.5, Steps: 11, Cap: 10 * time.Minute}
}

// status is what to commit; nil for a ledger that has not begun.
func (s *scribe) status() *v1alpha1.LedgerStatus {
	if s == nil || s.book.Number == 0 && s.book.Pending == "" && len(s.book.Gaps) == 0 {
		return nil
	}
	return s.book.DeepCopy()
}

// refuse notes a row of records that the destination refused for good. They are in the chain, and before is its head before the
// first of them.
func (s *scribe) refuse(ctx context.Context, before, after ledger.Head, reason string) {
	if s == nil {
		return
	}
	gaps := s.book.Gaps
	if n := len(gaps); n > 0 && gaps[n-1].Last == before.Sequence && gaps[n-1].Reason == reason {
		gaps[n-1].Last, gaps[n-1].Hash = after.Sequence, after.Hash
		return
	}
	if len(gaps) >= maxGaps {
		log.FromContext(ctx).Error(errTooManyGaps, "The ledger will not account for refused records", "first", before.Sequence+1, "last", after.Sequence)
		return
	}
	s.book.Gaps = append(s.book.Gaps, v1alpha1.LedgerGap{
		First: before.Sequence + 1, Last: after.Sequence, PreviousHash: before.Hash, Hash: after.Hash, Reason: reason,
	})
}

var errTooManyGaps = errors.New("too many refused records wait for an entry, because the ledger cannot be written")

// Due says whether an entry is to be composed. idle says that nothing more is about to be pushed.
func (s *scribe) due(at *cursor, idle bool, now time.Time) bool {
	trail := s.trail()
	switch {
	case s.book.Pending != "" || !s.begun():
		return false
	case s.book.Number == 0:
		return true
	case len(s.book.Gaps) > 0 && (len(s.book.Gaps) >= maxGaps/2 || s.age(now) >= gapEvery):
		return true
	case s.open(at) && s.age(now) >= s.every:
		return true
	default:
		return s.open(at) && idle && (!trail.DeletionTimestamp.IsZero() || suspended(trail))
	}
}

// Begun says whether the ledger may begin: the trail controller makes group and stream first, and notes who did.
func (s *scribe) begun() bool { return s.trail().Status.StreamCreatedByOperator != nil }

// open says that there is something of which no entry tells.
func (s *scribe) open(at *cursor) bool {
	return at.head.Sequence > s.book.Sequence || len(s.book.Gaps) > 0
}

// age is the time since the last entry.
func (s *scribe) age(now time.Time) time.Duration {
	if s.book.Time == nil {
		return s.every
	}
	return now.Sub(s.book.Time.Time)
}

// compose makes the next entry, which is then to be committed.
func (s *scribe) compose(ctx context.Context, at *cursor) error {
	signer, err := s.Signer(ctx)
	if err != nil {
		return err
	}
	entry := s.entry(at, signer)
	message, err := entry.Seal(signer.Key)
	if err != nil {
		return err
	}
	s.book.Pending, s.book.Gaps = string(message), nil
	return nil
}

func (s *scribe) entry(at *cursor, signer ledgerkey.Signer) ledger.Entry {
	trail := s.trail()
	records, stream := s.Streams(trail)
	s.book.LogStreamName = stream
	to := trail.Spec.CloudWatch
	entry := ledger.Entry{
		Kind:          ledger.KindCheckpoint,
		Number:        s.book.Number + 1,
		PreviousEntry: s.book.Hash,
		Trail:         ledger.Trail{Namespace: trail.Namespace, Name: trail.Name, UID: string(trail.UID)},
		Cluster:       s.Cluster,
		Destination:   ledger.Destination{Region: to.Region, LogGroup: to.LogGroupName, LogStream: records},
		Time:          metav1.NewTime(s.delivery.Clock.Now().UTC().Truncate(time.Second)),
		Sequence:      at.head.Sequence,
		Hash:          at.head.Hash,
		Delivered:     at.delivered,
		Rejected:      at.rejected,
		Keys:          signer.Since(s.book.KeyID),
	}
	for _, gap := range s.book.Gaps {
		entry.Gaps = append(entry.Gaps, ledger.Gap(gap))
	}
	switch {
	case entry.Number == 1:
		entry.Kind, entry.PreviousEntry = ledger.KindGenesis, ledger.Genesis(entry.Trail.UID).Hash
	case len(entry.Keys) > 0:
		entry.Kind = ledger.KindKey
	case len(entry.Gaps) > 0:
		entry.Kind = ledger.KindGap
	}
	return entry
}

// Fail notes that an entry could not be composed or written; it is tried again later.
func (s *scribe) fail(ctx context.Context, err error) {
	pause := s.retry.Step()
	s.retryAt = s.delivery.Clock.Now().Add(pause)
	trail := s.trail()
	s.delivery.Metrics.LedgerFailed(trail.Namespace, trail.Name)
	log.FromContext(ctx).Info("The ledger could not be written, will try again", "error", err.Error(), "after", pause.String())
}

// Written notes that the pending entry is in the ledger. made says whether this very try made the stream; nil when the stream was
// there.
func (s *scribe) written(ctx context.Context, made *bool) {
	entry, err := ledger.ReadEntry([]byte(s.book.Pending))
	if err != nil {
		s.drop(ctx, err)
		return
	}
	s.book.Hash = ledger.EntryHash([]byte(s.book.Pending))
	s.book.Number, s.book.Sequence, s.book.Time = entry.Number, entry.Sequence, &entry.Time
	s.book.KeyID, s.book.Pending = entry.KeyID, ""
	if n := len(entry.Keys); n > 0 {
		s.book.PublicKey = entry.Keys[n-1].PublicKey
	}
	switch {
	case made != nil:
		s.book.StreamCreatedByOperator = made
	case s.book.StreamCreatedByOperator == nil:
		s.book.StreamCreatedByOperator = new(false)
	}
	s.retry, s.retryAt = ledgerBackoff(), time.Time{}
	s.show()
	trail := s.trail()
	s.delivery.Metrics.LedgerWritten(trail.Namespace, trail.Name)
}

// show has the metrics say how far the ledger is.
func (s *scribe) show() {
	if s.book.Time == nil {
		return
	}
	trail := s.trail()
	s.delivery.Metrics.LedgerReached(trail.Namespace, trail.Name, s.book.Sequence, s.book.Time.Time)
}

// drop gives up a pending entry that somebody has damaged in the trail's status.
func (s *scribe) drop(ctx context.Context, err error) {
	log.FromContext(ctx).Error(err, "Dropping an entry of the ledger that somebody has changed in the trail's status")
	s.book.Pending = ""
}

func (s *scribe) clock() clock.Clock { return s.delivery.Clock }

// Closed says whether the ledger vouches for all that was delivered for the trail, by the trail's status.
func (d *Delivery) Closed(trail *v1alpha1.AuditTrail) bool {
	at, book := trail.Status.Delivery, trail.Status.Ledger
	if d.Ledger == nil || trail.Spec.CloudWatch == nil || at == nil || at.Sequence == 0 && book == nil {
		return true
	}
	return book != nil && book.Pending == "" && len(book.Gaps) == 0 && book.Sequence >= at.Sequence
}
