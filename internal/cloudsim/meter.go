package cloudsim

import (
	"errors"
	"sync"
	"time"
)

// Counts are what came in. Bytes are those of request bodies, without headers.
type Counts struct {
	// Calls received, also those that were refused; but not requests whose body cannot be read.
	Calls int
	// WireBytes as sent, BodyBytes after unpacking; they differ when requests are compressed.
	WireBytes, BodyBytes int64
	// Events accepted by PutLogEvents, without those rejected in rejectedLogEventsInfo.
	Events int
}

func (c *Counts) add(other Counts) {
	c.Calls += other.Calls
	c.WireBytes += other.WireBytes
	c.BodyBytes += other.BodyBytes
	c.Events += other.Events
}

// Call is what Options.OnCall sees of a call.
type Call struct {
	// Action such as PutLogEvents; Region, Group and Stream it was for, or "".
	Action, Region, Group, Stream string
	// Caller is the ARN of who signed it, or "".
	Caller string
	// Code of the error that is answered; "" for success.
	Code string
	// Fault that was applied, or the zero Effect.
	Fault Effect
	// Put is what a PutLogEvents stored; the zero value when it stored nothing.
	Put Put
}

// Put is what one PutLogEvents stored.
type Put struct {
	// At is when the call came.
	At time.Time
	// Timestamps are those of the stored log events, in milliseconds since 1970.
	Timestamps []int64
	// Bytes are what all log events of the call count towards its limit, also those that were rejected.
	Bytes int64
}

// meter counts by action. The zero value is ready.
type meter struct {
	mu     sync.Mutex
	counts map[string]Counts
}

func (m *meter) add(action string, counts Counts) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counts == nil {
		m.counts = map[string]Counts{}
	}
	sum := m.counts[action]
	sum.add(counts)
	m.counts[action] = sum
}

// Calls is how many calls of an action were received; of all actions when it is "".
func (s *Simulator) Calls(action string) int { return s.Counts(action).Calls }

// Counts is what an action received; all actions together when it is "".
func (s *Simulator) Counts(action string) Counts {
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	if action != "" {
		return s.meter.counts[action]
	}
	var sum Counts
	for _, counts := range s.meter.counts {
		sum.add(counts)
	}
	return sum
}

// report tells Options.OnCall.
func (s *Simulator) report(c *call, err error) {
	if s.options.OnCall == nil {
		return
	}
	seen := Call{Action: c.action, Region: c.region, Group: c.group, Stream: c.stream, Fault: c.fault.Effect, Put: c.stored}
	if c.from != nil {
		seen.Caller = c.from.arn(partitionOf(c.region))
	}
	if known, ok := errors.AsType[*apiError](err); ok {
		seen.Code = known.code
	}
	s.options.OnCall(seen)
}
