package cloudwatch

import (
	"errors"
	"time"
	"unicode/utf8"
)

// maxSkew is how far a record may lie before the one ahead of it and still share its batch. Records come in the order
// in which the cluster stored them, their times from the clocks of several replicas; a difference beyond this is not
// skew but a wrong clock, and dragging a batch along with it could make the whole batch too old or too new.
const maxSkew = 5 * time.Minute

// ErrMessageSize refuses a record whose message is empty or longer than the packer's limit. Cutting a message is its
// maker's business.
var ErrMessageSize = errors.New("message is empty or too large for a log event")

// ErrMessageText refuses a record whose message is not UTF-8. JSON cannot carry it, and what came in its place would be
// another record.
var ErrMessageText = errors.New("message is not UTF-8")

// Packer cuts a stream of records into batches, each of which is one valid call of PutLogEvents. It keeps the order:
// CloudWatch Logs refuses a batch that is not chronological, so a record that is up to five minutes older than the
// one ahead of it is given that one's time, and a record that is older still starts a new batch. The real time of an
// event is in its message.
//
// A Packer is not safe for concurrent use.
type Packer struct {
	maxMessage int
	batch      []Record
	bytes      int
}

// NewPacker makes a Packer for messages of up to maxMessage bytes; 0 stands for MaxEventBytes, and what no region
// takes is lowered to what some do.
func NewPacker(maxMessage int) *Packer {
	if maxMessage <= 0 {
		maxMessage = MaxEventBytes
	}
	return &Packer{maxMessage: min(maxMessage, MaxBatchBytes-EventOverhead)}
}

// Add puts a record into the open batch. If it does not fit, the open batch is complete: it is returned, and the
// record opens the next one. The returned batch belongs to the caller. A record refused with ErrMessageSize or
// ErrMessageText is in no batch.
func (p *Packer) Add(record Record) (full []Record, err error) {
	if len(record.Message) == 0 || len(record.Message) > p.maxMessage {
		return nil, ErrMessageSize
	}
	if !utf8.Valid(record.Message) {
		return nil, ErrMessageText
	}
	if !p.fits(record) {
		full = p.Flush()
	}
	if n := len(p.batch); n > 0 {
		record.Time = max(record.Time, p.batch[n-1].Time)
	}
	p.batch = append(p.batch, record)
	p.bytes += record.Size()
	return full, nil
}

// Flush completes the open batch and returns it; nil when it is empty.
func (p *Packer) Flush() []Record {
	full := p.batch
	p.batch, p.bytes = nil, 0
	if len(full) > 0 { // The next batch is likely as long as this one.
		p.batch = make([]Record, 0, len(full))
	}
	return full
}

// Len is the number of records in the open batch.
func (p *Packer) Len() int { return len(p.batch) }

// Bytes is the size of the open batch as CloudWatch Logs counts it.
func (p *Packer) Bytes() int { return p.bytes }

func (p *Packer) fits(record Record) bool {
	n := len(p.batch)
	if n == 0 {
		return true
	}
	first, last := p.batch[0].Time, p.batch[n-1].Time
	return n < MaxBatchEvents &&
		p.bytes+record.Size() <= MaxBatchBytes &&
		!further(record.Time, last, maxSkew) &&
		!further(first, max(record.Time, last), MaxBatchSpan-time.Millisecond)
}

// further tells whether a is before b by more than limit. Times far apart do not overflow.
func further(a, b int64, limit time.Duration) bool {
	return a < b && uint64(b)-uint64(a) > uint64(limit.Milliseconds()) //nolint:gosec // Unsigned differences are right even when the times wrap.
}
