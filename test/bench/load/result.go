package load

import (
	"math"
	"slices"
	"time"
)

// Result is what a run of requests showed.
type Result struct {
	// Latencies of the requests that succeeded, shortest first.
	Latencies []time.Duration
	// Failed is how many others there were, and Err what one of them returned.
	Failed int
	Err    error
	// Took is the time from the first request to the last answer.
	Took time.Duration
}

func newResult(latencies []time.Duration, errs []error, took time.Duration) Result {
	result := Result{Took: took}
	for i, latency := range latencies {
		if errs[i] != nil {
			result.Failed++
			result.Err = errs[i]
			continue
		}
		result.Latencies = append(result.Latencies, latency)
	}
	slices.Sort(result.Latencies)
	return result
}

// Milliseconds is the latency that a share q of the successful requests, 0 to 1, stayed within (the nearest rank); NaN
// when none succeeded.
func (r Result) Milliseconds(q float64) float64 {
	if len(r.Latencies) == 0 {
		return math.NaN()
	}
	rank := int(math.Ceil(q * float64(len(r.Latencies))))
	return float64(r.Latencies[max(rank, 1)-1]) / float64(time.Millisecond)
}

// Rate is how many requests a second succeeded.
func (r Result) Rate() float64 { return float64(len(r.Latencies)) / r.Took.Seconds() }

// Median is the middle value, or the mean of the two in the middle; NaN when there is none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
