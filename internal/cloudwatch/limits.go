package cloudwatch

import "time"

// Limits of one PutLogEvents call (Amazon CloudWatch Logs API reference, PutLogEvents; CloudWatch Logs quotas).
const (
	// MaxBatchBytes bounds the sum of all messages in UTF-8 plus EventOverhead for each.
	MaxBatchBytes = 1_048_576
	// MaxBatchEvents bounds the events of a batch.
	MaxBatchEvents = 10_000
	// EventOverhead is added to each event's message, in bytes.
	EventOverhead = 26
	// MaxBatchSpan is what lies between the first and the last event of a batch at most.
	MaxBatchSpan = 24 * time.Hour
	// MaxEventBytes is the largest message that every region takes: 256 KiB less the overhead. Newer regions take up
	// to MaxBatchBytes less the overhead.
	MaxEventBytes = 256<<10 - EventOverhead
	// MaxAge is the age past which an event is rejected as too old.
	MaxAge = 14 * 24 * time.Hour
	// MaxAhead is how far in the future an event may be before it is rejected as too new.
	MaxAhead = 2 * time.Hour
)

// Record is one log event.
type Record struct {
	// Time in milliseconds since 1970-01-01 UTC.
	Time int64
	// Message is valid UTF-8, 1 byte to the packer's limit. It is not copied and must not change afterwards.
	Message []byte
}

// Size is what the record counts towards MaxBatchBytes.
func (r Record) Size() int { return len(r.Message) + EventOverhead }
