package delivery

import (
	"context"

	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
)

// Reasons of refusals, as the ledger shows them, beside v1alpha1.ReasonRecordRejected.
const (
	refusedTooLarge = "TooLarge"
	refusedTooOld   = "TooOld"
	refusedExpired  = "Expired"
	refusedTooNew   = "TooNew"
)

// refusal is a row of records of a batch that the destination refused for good.
type refusal struct {
	first, count int
	reason       string
}

// refusalsOf says which of n records CloudWatch Logs did not store.
func refusalsOf(result cloudwatch.PutResult, n int) []refusal {
	var refused []refusal
	for _, each := range []refusal{
		{0, result.TooOld, refusedTooOld},
		{result.TooOld, result.Expired, refusedExpired},
		{n - result.TooNew, result.TooNew, refusedTooNew},
	} {
		if each.count > 0 {
			refused = append(refused, each)
		}
	}
	return refused
}

// accountFor has the ledger tell of refused records of the batch that follows the cursor, and returns how many they are.
// heads are those of the chain after each record of the batch.
func (c *courier) accountFor(ctx context.Context, refused []refusal, heads []ledger.Head) (rejected int) {
	for _, each := range refused {
		before := c.at.head
		if each.first > 0 {
			before = heads[each.first-1]
		}
		c.scribe.refuse(ctx, before, heads[each.first+each.count-1], each.reason)
		rejected += each.count
	}
	return rejected
}
