package delivery

import (
	"context"
	"errors"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
)

var (
	errEntryRejected = errors.New("the destination refuses the ledger's entry, whose time is the present: check the operator's clock")
	// errUnclaimed says that the ledger's stream is missing, and is to be made once the trail's status says whose it is.
	errUnclaimed = errors.New("the ledger's stream is missing")
)

// putEntry writes one entry into a trail's ledger. A stream that is missing is made if it is claimed: then made says whether that
// happened here, or somebody else was first. It fails with errUnclaimed if it is not.
func (s *scribe) putEntry(ctx context.Context, trail *v1alpha1.AuditTrail, message string, claimed bool) (made *bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout+entryTimeout)
	defer cancel()
	sink, err := s.Open(ctx, trail)
	if err != nil {
		return nil, err
	}
	records := []cloudwatch.Record{{Time: s.clock().Now().UnixMilli(), Message: []byte(message)}}
	result, err := sink.Put(ctx, records)
	if cloudwatch.ClassOf(err) == cloudwatch.ClassNotFound {
		if !claimed {
			return nil, errUnclaimed
		}
		var observed cloudwatch.Observed
		if observed, err = sink.Ensure(ctx); err == nil {
			made = &observed.StreamCreated
			result, err = sink.Put(ctx, records)
		}
	}
	if err == nil && result.Rejected() > 0 {
		err = errEntryRejected
	}
	return made, err
}

// claim notes that the stream, which is missing, is the operator's to make. That is committed before it is made: a leader that is
// killed in between would leave a stream of which nobody knows that it may be deleted.
func (s *scribe) claim() { s.book.StreamCreatedByOperator = new(true) }

// claims says whether a ledger's status claims its stream; nil claims nothing.
func claims(book *v1alpha1.LedgerStatus) bool {
	return book != nil && book.StreamCreatedByOperator != nil && *book.StreamCreatedByOperator
}
