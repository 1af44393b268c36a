package cloudwatch

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// putTimeout bounds one PutLogEvents. A batch is up to 1 MiB, and the path may be slow.
const putTimeout = 30 * time.Second

// PutResult accounts for every record of a batch that CloudWatch Logs took: records[:TooOld+Expired] were rejected as
// too old or past the group's retention, the last TooNew as too far in the future, and the rest is stored.
type PutResult struct {
	// TooOld, Expired and TooNew count the rejected records; none is counted twice.
	TooOld, Expired, TooNew int
	// Accepted counts the stored records.
	Accepted int
}

// First is the index of the first stored record; the stored ones are records[First():First()+Accepted].
func (r PutResult) First() int { return r.TooOld + r.Expired }

// Rejected counts the records that are not stored.
func (r PutResult) Rejected() int { return r.TooOld + r.Expired + r.TooNew }

// Put writes a batch that a Packer made, in one call and one attempt. On an error nothing is known to be stored: after
// ClassTransient some or all of it may be, and putting it again makes duplicates, which records' ids reveal.
// Errors are faults; ClassOf tells what to do.
func (s *Stream) Put(ctx context.Context, records []Record) (PutResult, error) {
	if len(records) == 0 {
		return PutResult{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	out, err := s.client.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{
		LogGroupName:  &s.group,
		LogStreamName: &s.name,
		LogEvents:     encode(records),
	})
	if err != nil {
		return PutResult{}, classifyPut(err)
	}
	return account(len(records), out.RejectedLogEventsInfo), nil
}

// encode is the one place that knows how records become a request.
func encode(records []Record) []types.InputLogEvent {
	events := make([]types.InputLogEvent, len(records))
	for i := range records {
		events[i] = types.InputLogEvent{Timestamp: &records[i].Time, Message: aws.String(string(records[i].Message))}
	}
	return events
}

// account turns the indexes of RejectedLogEventsInfo into counts. Too old and expired are both the beginning of the
// batch, up to an exclusive index: what the larger one adds is counted under its name. Too new is the end of the
// batch, from an inclusive index. Indexes outside the batch are taken to its bounds.
func account(n int, info *types.RejectedLogEventsInfo) PutResult {
	if info == nil {
		return PutResult{Accepted: n}
	}
	index := func(at *int32, absent int) int {
		if at == nil {
			return absent
		}
		return min(max(int(*at), 0), n)
	}
	tooOld := index(info.TooOldLogEventEndIndex, 0)
	expired := index(info.ExpiredLogEventEndIndex, 0)
	first := max(tooOld, expired)
	end := max(index(info.TooNewLogEventStartIndex, n), first)
	return PutResult{TooOld: tooOld, Expired: first - tooOld, TooNew: n - end, Accepted: end - first}
}
