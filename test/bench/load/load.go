package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Request makes one request. The number is another one for each request of a run.
type Request func(ctx context.Context, number int) error

// Open makes requests at a fixed rate, whether or not earlier ones were answered, and waits for all answers. Each
// latency is counted from when the request was to be sent, so that a server that stalls cannot hide it by delaying
// the requests that would have shown it (coordinated omission). rate is per second.
func Open(ctx context.Context, rate float64, duration time.Duration, request Request) Result {
	count := int(rate * duration.Seconds())
	latencies := make([]time.Duration, count)
	errs := make([]error, count)
	var group sync.WaitGroup
	start := time.Now()
	for i := range count {
		intended := start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		if !sleepUntil(ctx, intended) {
			latencies, errs = latencies[:i], errs[:i]
			break
		}
		group.Go(func() {
			errs[i] = request(ctx, i)
			latencies[i] = time.Since(intended)
		})
	}
	group.Wait()
	return newResult(latencies, errs, time.Since(start))
}

// Saturate has workers make one request after the other.
func Saturate(ctx context.Context, workers int, duration time.Duration, request Request) Result {
	var (
		group sync.WaitGroup
		next  atomic.Int64
		mu    sync.Mutex
		times []time.Duration
		errs  []error
	)
	start := time.Now()
	for range workers {
		group.Go(func() {
			for time.Since(start) < duration && ctx.Err() == nil {
				sent := time.Now()
				err := request(ctx, int(next.Add(1)))
				mu.Lock()
				times, errs = append(times, time.Since(sent)), append(errs, err)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return newResult(times, errs, time.Since(start))
}

// Each has workers make a number of requests, once each, and stops at the first error.
func Each(ctx context.Context, workers, count int, request Request) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	var next atomic.Int64
	for range workers {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < count && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := request(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// sleepUntil returns false when the context ended first.
func sleepUntil(ctx context.Context, when time.Time) bool {
	timer := time.NewTimer(time.Until(when))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
