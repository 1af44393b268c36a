package cloudwatch

import (
	"context"
	"time"
)

// probeAge is how old the probe's event is: more than the 14 days past which CloudWatch Logs stores nothing.
const probeAge = MaxAge + 24*time.Hour

// probeMessage says what it is to whoever finds it where it should not be.
const probeMessage = `{"probe":"A check by Trailkeeper that it may write. It is no record of the trail."}`

// Probe is a record that CloudWatch Logs accepts and does not store.
func Probe(now time.Time) Record {
	return Record{Time: now.Add(-probeAge).UnixMilli(), Message: []byte(probeMessage)}
}

// ProbeWrite finds out whether the identity may write to the stream. It puts one event that is too old to be stored:
// CloudWatch Logs checks the permission, accepts the call, and drops the event (docs/adr/0006-write-probe.md). Its
// errors are faults.
func (s *Stream) ProbeWrite(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.put(ctx, []Record{Probe(now)}, func(err error) error { return classify("logs:PutLogEvents", err) })
	return err
}
