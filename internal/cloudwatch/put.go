package cloudwatch

import (
	"context"
	"fmt"
	"time"

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
	// BodyBytes is how long the call was, and WireBytes how much of that was sent: they differ when it was compressed.
	BodyBytes, WireBytes int
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
	if err := await(ctx, s.pace.put, "logs:PutLogEvents"); err != nil {
		return PutResult{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	return s.put(ctx, records, classifyPut)
}

// put makes the call, and leaves it to classifier what its errors mean.
func (s *Stream) put(ctx context.Context, records []Record, classifier func(error) error) (PutResult, error) {
	body, err := newBody(s.group, s.name, records, s.compress)
	if err != nil {
		return PutResult{}, fmt.Errorf("compressing a batch: %w", err)
	}
	// The SDK's transport does not read a body any more once the call has returned.
	defer body.release()
	out, err := s.client.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{
		LogGroupName:  &s.group,
		LogStreamName: &s.name,
		LogEvents:     []types.InputLogEvent{}, // The SDK asks for it to be there.
	}, withBody(body))
	if err != nil {
		return PutResult{}, classifier(err)
	}
	result := account(len(records), out.RejectedLogEventsInfo)
	result.BodyBytes, result.WireBytes = len(body.plain), len(body.wire())
	return result, nil
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
