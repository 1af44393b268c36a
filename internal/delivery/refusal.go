package delivery

import "github.com/trailkeeper/trailkeeper/internal/cloudwatch"

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
