package load

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
)

func TestMillisecondsAreTheNearestRank(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[len(hundred)-1-i] = time.Duration(i+1) * time.Millisecond
	}
	for name, test := range map[string]struct {
		latencies []time.Duration
		q, want   float64
	}{
		"p50 of 100":  {hundred, 0.5, 50},
		"p99 of 100":  {hundred, 0.99, 99},
		"all of 100":  {hundred, 1, 100},
		"p0 of 100":   {hundred, 0, 1},
		"p99 of one":  {[]time.Duration{1500 * time.Microsecond}, 0.99, 1.5},
		"p50 of two":  {[]time.Duration{2 * time.Millisecond, time.Millisecond}, 0.5, 1},
		"p99 of zero": {nil, 0.99, math.NaN()},
	} {
		t.Run(name, func(t *testing.T) {
			result := newResult(test.latencies, make([]error, len(test.latencies)), time.Second)
			got := result.Milliseconds(test.q)
			if math.IsNaN(test.want) {
				NewWithT(t).Expect(math.IsNaN(got)).To(BeTrue())
				return
			}
			NewWithT(t).Expect(got).To(Equal(test.want))
		})
	}
}

func TestMedian(t *testing.T) {
	g := NewWithT(t)
	unsorted := []float64{3, 1, 2}
	g.Expect(Median(unsorted)).To(Equal(2.0))
	g.Expect(unsorted).To(Equal([]float64{3, 1, 2}), "the argument stays as it is")
	g.Expect(Median([]float64{4, 1, 3, 2})).To(Equal(2.5))
	g.Expect(math.IsNaN(Median(nil))).To(BeTrue())
}

func TestFailuresAreNotCountedAsLatencies(t *testing.T) {
	g := NewWithT(t)
	refused := errors.New("refused")
	result := newResult([]time.Duration{1, 2, 3}, []error{nil, refused, nil}, 2*time.Second)
	g.Expect(result.Latencies).To(Equal([]time.Duration{1, 3}))
	g.Expect(result.Failed).To(Equal(1))
	g.Expect(result.Err).To(MatchError(refused))
	g.Expect(result.Rate()).To(Equal(1.0))
}

// A server that answers one request at a time and stalls once delays all that were to be sent meanwhile.
func TestAStallShowsInEveryRequestThatItDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		server := make(chan struct{}, 1)
		result := Open(t.Context(), 10, time.Second, func(_ context.Context, number int) error {
			server <- struct{}{}
			defer func() { <-server }()
			if number == 0 {
				time.Sleep(450 * time.Millisecond) //nolint:forbidigo // The bubble's time, not the clock's.
			}
			return nil
		})
		g.Expect(result.Latencies).To(HaveLen(10))
		g.Expect(result.Milliseconds(0.5)).To(Equal(0.0))
		// Requests at 0, 100, 200, 300 and 400 ms were answered at 450 ms.
		for i, want := range []float64{450, 350, 250, 150, 50} {
			g.Expect(result.Milliseconds(1 - float64(i)/10)).To(Equal(want))
		}
		g.Expect(result.Took).To(Equal(900 * time.Millisecond))
	})
}

func TestSaturateKeepsEveryWorkerBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		result := Saturate(t.Context(), 4, time.Second, func(context.Context, int) error {
			time.Sleep(100 * time.Millisecond) //nolint:forbidigo // The bubble's time, not the clock's.
			return nil
		})
		g.Expect(result.Rate()).To(Equal(40.0))
		g.Expect(result.Milliseconds(0.99)).To(Equal(100.0))
	})
}

func TestEachDoesEverythingOnce(t *testing.T) {
	g := NewWithT(t)
	var done [100]atomic.Int32
	g.Expect(Each(t.Context(), 7, len(done), func(_ context.Context, i int) error {
		done[i].Add(1)
		return nil
	})).To(Succeed())
	for i := range done {
		g.Expect(done[i].Load()).To(BeEquivalentTo(1), "request %d", i)
	}
}

func TestEachStopsAtAnError(t *testing.T) {
	g := NewWithT(t)
	refused := errors.New("refused")
	var calls int
	g.Expect(Each(t.Context(), 1, 100, func(context.Context, int) error {
		calls++
		return refused
	})).To(MatchError(refused))
	g.Expect(calls).To(Equal(1))
}
