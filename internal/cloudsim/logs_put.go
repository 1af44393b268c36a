package cloudsim

import (
	"fmt"
	"time"
)

const putAction = "PutLogEvents"

// Limits of PutLogEvents (CloudWatch Logs API reference, PutLogEvents).
const (
	maxBatchBytes  = 1 << 20
	maxBatchEvents = 10_000
	eventOverhead  = 26
	maxBatchSpan   = 24 * time.Hour
	maxFuture      = 2 * time.Hour
	maxAge         = 14 * 24 * time.Hour
)

type putLogEventsOutput struct {
	NextSequenceToken string                 `json:"nextSequenceToken"`
	Rejected          *rejectedLogEventsInfo `json:"rejectedLogEventsInfo,omitempty"`
}

// rejectedLogEventsInfo tells which events of an accepted call were not stored; an absent index means none.
type rejectedLogEventsInfo struct {
	TooNewStart *int `json:"tooNewLogEventStartIndex,omitempty"` // the first that is too new
	TooOldEnd   *int `json:"tooOldLogEventEndIndex,omitempty"`   // the first that is not too old any more
	ExpiredEnd  *int `json:"expiredLogEventEndIndex,omitempty"`  // the first that is within the group's retention
}

func (s *Simulator) putLogEvents(c *call) (any, error) {
	if err := c.checkNames(); err != nil {
		return nil, err
	}
	bytes, err := checkBatch(c.put.events, s.options.MaxMessageBytes)
	if err != nil {
		return nil, err
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	in, to, err := s.store.stream(c.place(), c.group, c.stream)
	if err != nil {
		return nil, err
	}
	valid, rejected := judge(c.put.events, c.now, s.store.retentionOf(in))
	if c.fault.Effect == RejectOld {
		end := min(c.fault.Events, len(c.put.events))
		valid, rejected = c.put.events[end:], &rejectedLogEventsInfo{TooOldEnd: &end}
	}
	if len(valid) > 0 {
		if span := valid[len(valid)-1].timestamp - valid[0].timestamp; span > maxBatchSpan.Milliseconds() {
			return nil, errParameter("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
		}
		to.append(valid, c.now, s.options.Discard)
		to.bytes += bytes
		if s.options.OnCall != nil {
			c.stored = putOf(valid, c.now, bytes)
		}
	}
	s.meter.add(putAction, Counts{Events: len(valid)})
	return putLogEventsOutput{NextSequenceToken: sequenceToken(c.now), Rejected: rejected}, nil
}

func putOf(events []inputEvent, now time.Time, bytes int64) Put {
	put := Put{At: now, Timestamps: make([]int64, len(events)), Bytes: bytes}
	for i := range events {
		put.Timestamps[i] = events[i].timestamp
	}
	return put
}

// checkBatch applies the limits that make a whole call fail, and returns the batch's size.
func checkBatch(events []inputEvent, maxMessage int) (int64, error) {
	if len(events) == 0 {
		return 0, errConstraint("[]", "logEvents", "have length greater than or equal to 1")
	}
	if len(events) > maxBatchEvents {
		return 0, errConstraint(fmt.Sprintf("[%d events]", len(events)), "logEvents", "have length less than or equal to 10000")
	}
	size := 0
	for i, event := range events {
		field := func(name string) string { return fmt.Sprintf("logEvents.%d.member.%s", i+1, name) }
		switch {
		case event.timestamp == noTimestamp:
			return 0, errConstraint("null", field("timestamp"), "not be null")
		case event.timestamp < 0:
			return 0, errConstraint(event.timestamp, field("timestamp"), "have value greater than or equal to 0")
		case event.message.quoted == nil:
			return 0, errConstraint("null", field("message"), "not be null")
		case event.message.size == 0:
			return 0, errConstraint("", field("message"), "have length greater than or equal to 1")
		case event.message.size > maxMessage:
			return 0, errParameter("Log event too large: %d bytes exceeds limit of %d",
				event.message.size+eventOverhead, maxMessage+eventOverhead)
		case i > 0 && event.timestamp < events[i-1].timestamp:
			return 0, errParameter("Log events in a single PutLogEvents request must be in chronological order.")
		}
		size += event.message.size + eventOverhead
	}
	if size > maxBatchBytes {
		return 0, errParameter("Upload too large: %d bytes exceeds limit of %d", size, maxBatchBytes)
	}
	return int64(size), nil
}

// judge splits chronological events into those to store and those that are rejected by their time.
func judge(events []inputEvent, now time.Time, retentionDays int) ([]inputEvent, *rejectedLogEventsInfo) {
	before := func(oldest time.Time) int { // how many are older, which are the first ones
		for i, event := range events {
			if event.timestamp >= oldest.UnixMilli() {
				return i
			}
		}
		return len(events)
	}
	tooOld, expired := before(now.Add(-maxAge)), 0
	if retentionDays > 0 {
		expired = before(now.Add(-time.Duration(retentionDays) * 24 * time.Hour))
	}
	tooNew := before(now.Add(maxFuture + time.Millisecond))
	var rejected rejectedLogEventsInfo
	if tooOld > 0 {
		rejected.TooOldEnd = &tooOld
	}
	if expired > 0 {
		rejected.ExpiredEnd = &expired
	}
	if tooNew < len(events) {
		rejected.TooNewStart = &tooNew
	}
	valid := events[max(tooOld, expired):tooNew]
	if rejected == (rejectedLogEventsInfo{}) {
		return valid, nil
	}
	return valid, &rejected
}

// append adds valid events, or only their times when they are to be discarded. The caller holds the store's lock.
func (s *stream) append(events []inputEvent, now time.Time, discard bool) {
	if first := events[0].timestamp; s.ingested == 0 || first < s.first {
		s.first = first
	}
	s.last = max(s.last, events[len(events)-1].timestamp)
	s.ingested = now.UnixMilli()
	if discard {
		return
	}
	for _, event := range events {
		s.events = append(s.events, Event{
			Timestamp: event.timestamp, IngestionTime: s.ingested, Message: event.message.String(),
		})
	}
}

// sequenceToken is an opaque number of 56 digits. CloudWatch Logs still returns one and ignores what it is given.
func sequenceToken(now time.Time) string { return fmt.Sprintf("%056d", now.UnixNano()) }
