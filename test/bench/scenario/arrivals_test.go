package scenario

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
)

func putAt(at int64, bytes int64, recorded ...int64) cloudsim.Call {
	return cloudsim.Call{Stream: "one", Put: cloudsim.Put{At: time.UnixMilli(at), Timestamps: recorded, Bytes: bytes}}
}

func TestArrivalsAreThoseInBetween(t *testing.T) {
	g := NewWithT(t)
	var a arrivals
	a.note(putAt(1, 1, 1))
	a.begin()
	a.note(putAt(3000, 10, 1000, 2000))
	a.note(cloudsim.Call{Stream: "one", Code: "ThrottlingException"})
	other := putAt(9000, 5, 8500)
	other.Stream = "other"
	a.note(other)
	ledger := putAt(9000, 5, 9000)
	ledger.Stream = "one.ledger"
	a.note(ledger)
	g.Expect(a.count()).To(Equal(3))
	g.Expect(a.count("other")).To(Equal(2))
	seen := a.end()
	a.note(putAt(9000, 5, 9000))
	calls, bytes := seen.calls()
	g.Expect([]int64{int64(calls), bytes}).To(Equal([]int64{2, 15}))
	g.Expect(seen.delays().Latencies).To(Equal([]time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second}))
	g.Expect(seen.without("one").delays().Latencies).To(HaveLen(1))
}

// TestFewestCalls: a call takes what comes within the linger of its first event, however events were in fact sent.
func TestFewestCalls(t *testing.T) {
	g := NewWithT(t)
	sent := func(recorded ...int64) []cloudsim.Put {
		puts := []cloudsim.Put{}
		for _, at := range recorded {
			puts = append(puts, cloudsim.Put{Timestamps: []int64{at}})
		}
		return puts
	}
	g.Expect(streams{}.fewest()).To(Equal(0))
	g.Expect(streams{"a": sent(0, 500, 1000), "b": sent(0)}.fewest()).To(Equal(2))
	g.Expect(streams{"a": sent(0, 2500, 1001, 2000)}.fewest()).To(Equal(3))
}
