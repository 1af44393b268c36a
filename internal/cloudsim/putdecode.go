package cloudsim

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"
)

// putRequest is a decoded PutLogEvents. Its messages still point into the request's body, as most are only counted.
type putRequest struct {
	group, stream string
	events        []inputEvent
}

// inputEvent is a log event of a request.
type inputEvent struct {
	timestamp int64 // noTimestamp when it is missing
	message   text
}

// noTimestamp is a value that no request can give.
const noTimestamp = math.MinInt64

var putRequests = sync.Pool{New: func() any { return new(putRequest) }}

// release gives the request back; it does nothing to nil.
func (p *putRequest) release() {
	if p != nil {
		putRequests.Put(p)
	}
}

// has says whether a message has a text; nil has none.
func (p *putRequest) has(text string) bool {
	return p != nil && slices.ContainsFunc(p.events, func(e inputEvent) bool { return bytes.Contains(e.message.quoted, []byte(text)) })
}

// decodePut reads the body of a PutLogEvents in one pass. encoding/json takes about ten times as long, which would
// make the simulator the slowest part of every benchmark.
func decodePut(body []byte) (*putRequest, error) {
	if !utf8.Valid(body) {
		return nil, errSerialization("The body is not UTF-8")
	}
	put := putRequests.Get().(*putRequest) // The pool holds nothing else.
	*put = putRequest{events: put.events[:0]}
	s := &scanner{in: body}
	if err := put.decode(s); err != nil {
		put.release()
		return nil, errSerialization(err.Error() + " at byte " + strconv.Itoa(s.pos))
	}
	return put, nil
}

func (p *putRequest) decode(s *scanner) error {
	event := func(member string) error {
		e := &p.events[len(p.events)-1]
		switch member {
		case "timestamp":
			return s.integer(&e.timestamp)
		case "message":
			return s.nullable(&e.message)
		}
		return s.skip(0)
	}
	err := s.object(func(member string) error {
		switch member {
		case "logGroupName":
			return s.name(&p.group)
		case "logStreamName":
			return s.name(&p.stream)
		case "logEvents":
			p.events = p.events[:0]
			return s.array(func() error {
				p.events = append(p.events, inputEvent{timestamp: noTimestamp})
				return s.object(event)
			})
		}
		return s.skip(0)
	})
	if err != nil {
		return err
	}
	return s.end()
}
