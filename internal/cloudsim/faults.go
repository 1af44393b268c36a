package cloudsim

import (
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Effect is what a Fault does to a call.
type Effect int

const (
	// Throttle answers ThrottlingException (Throttling at STS) and does nothing.
	Throttle Effect = iota + 1
	// Unavailable answers 503 ServiceUnavailableException and does nothing.
	Unavailable
	// Fail answers Fault.Code with Fault.Status and does nothing.
	Fail
	// Hang never answers and does nothing; it ends when the client goes away or the simulator stops.
	Hang
	// Reset does nothing and resets the TCP connection.
	Reset
	// Drop does what was asked and then closes the connection instead of answering.
	Drop
	// SlowBody does what was asked, sends the answer's headers at once and its body a byte every Fault.Delay.
	SlowBody
	// RejectOld takes a PutLogEvents, but says of its first Fault.Events log events that they are too old, and does not
	// store them.
	RejectOld
)

// Fault makes calls go wrong. It applies to calls that are well signed and well formed, before permissions are checked.
type Fault struct {
	// Action, Group and Stream narrow it to calls that name exactly these; empty means any.
	Action, Group, Stream string
	// Message narrows it to a PutLogEvents in which a log event's message has this text, as the request has it escaped;
	// empty means any.
	Message string
	// Effect is what happens.
	Effect Effect
	// Times is how many calls it applies to; 0 means until it is cleared.
	Times int
	// Code of a Fail, such as LimitExceededException. Empty answers a page of HTML, as a proxy in between would.
	Code string
	// Status of a Fail. Default 400.
	Status int
	// Delay of a SlowBody, between two bytes.
	Delay time.Duration
	// Events are how many a RejectOld rejects.
	Events int
}

// errNoAnswer keeps a call from being done; the client never sees it.
var errNoAnswer = errors.New("the call is not to be answered")

// before is the error that a call gets instead of being done, or nil.
func (f *Fault) before(at service) error {
	switch f.Effect {
	case Throttle:
		return errThrottled(at)
	case Unavailable:
		return errUnavailable(at)
	case Fail:
		status := f.Status
		if status == 0 {
			status = http.StatusBadRequest
		}
		return &apiError{status: status, code: f.Code, message: "Injected by a test"}
	case Hang, Reset:
		return errNoAnswer
	case Drop, SlowBody, RejectOld: // They come after it is done, or while it is.
	}
	return nil
}

// activeFault is a Fault with the calls it has left.
type activeFault struct {
	Fault
	left int
}

// faults are those in force, oldest first. The zero value has none.
type faults struct {
	mu     sync.Mutex
	active []*activeFault
}

// Inject puts a fault into force and returns a function that clears it. When several match a call, the one injected
// first applies alone.
func (s *Simulator) Inject(fault Fault) (remove func()) {
	added := &activeFault{Fault: fault, left: fault.Times}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.active = append(s.faults.active, added)
	return func() {
		s.faults.mu.Lock()
		defer s.faults.mu.Unlock()
		s.faults.active = slices.DeleteFunc(s.faults.active, func(f *activeFault) bool { return f == added })
	}
}

// ClearFaults ends every fault. Calls that hang go on hanging.
func (s *Simulator) ClearFaults() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.active = nil
}

// take finds the fault for a call, and uses up one of its times.
func (f *faults) take(c *call) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, fault := range f.active {
		if !fault.matches(c) {
			continue
		}
		if fault.left--; fault.left == 0 {
			f.active = slices.Delete(f.active, i, i+1)
		}
		return fault.Fault
	}
	return Fault{}
}

func (f *Fault) matches(c *call) bool {
	return (f.Action == "" || f.Action == c.action) && (f.Group == "" || f.Group == c.group) &&
		(f.Stream == "" || f.Stream == c.stream) && (f.Message == "" || c.put.has(f.Message))
}
