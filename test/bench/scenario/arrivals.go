package scenario

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/test/bench/load"
)

// ledgerSuffix ends the names of the streams in which ledgers are. They have few entries, at times of their own.
const ledgerSuffix = ".ledger"

// arrivals notes what the simulator stores, while somebody wants to know.
type arrivals struct {
	mu      sync.Mutex
	noting  bool
	streams streams
}

// streams are the calls that stored something, by log stream.
type streams map[string][]cloudsim.Put

// note is the simulator's OnCall.
func (a *arrivals) note(call cloudsim.Call) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.noting && len(call.Put.Timestamps) > 0 && !strings.HasSuffix(call.Stream, ledgerSuffix) {
		a.streams[call.Stream] = append(a.streams[call.Stream], call.Put)
	}
}

// begin notes what arrives from now on.
func (a *arrivals) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.noting, a.streams = true, streams{}
}

// count is how many events were noted so far, but for those of some streams.
func (a *arrivals) count(without ...string) (events int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, puts := range a.streams.without(without...) {
		for _, put := range puts {
			events += len(put.Timestamps)
		}
	}
	return events
}

// end returns what was noted.
func (a *arrivals) end() streams {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.noting = false
	return a.streams
}

// without are all streams but some.
func (s streams) without(names ...string) streams {
	rest := streams{}
	for name, puts := range s {
		if !slices.Contains(names, name) {
			rest[name] = puts
		}
	}
	return rest
}

// delays is how long after its recording each event arrived, shortest first.
func (s streams) delays() load.Result {
	var result load.Result
	for _, puts := range s {
		for _, put := range puts {
			for _, recorded := range put.Timestamps {
				result.Latencies = append(result.Latencies, put.At.Sub(time.UnixMilli(recorded)))
			}
		}
	}
	slices.Sort(result.Latencies)
	return result
}

// calls is how many there were, and bytes what they held.
func (s streams) calls() (calls int, bytes int64) {
	for _, puts := range s {
		calls += len(puts)
		for _, put := range puts {
			bytes += put.Bytes
		}
	}
	return calls, bytes
}

// fewest is how many calls would do when each takes what one stream has within the linger of its first event.
func (s streams) fewest() (calls int) {
	for _, puts := range s {
		var recorded []int64
		for _, put := range puts {
			recorded = append(recorded, put.Timestamps...)
		}
		slices.Sort(recorded)
		first := int64(-1)
		for _, at := range recorded {
			if first < 0 || at-first > linger.Milliseconds() {
				first = at
				calls++
			}
		}
	}
	return calls
}
