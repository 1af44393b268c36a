package cloudsim

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Event is a stored log event.
type Event struct {
	// Timestamp and IngestionTime are in milliseconds since 1970.
	Timestamp, IngestionTime int64
	// Message as it was sent.
	Message string
}

// place is where groups live.
type place struct{ account, region string }

// groupARN is a log group's ARN without the ":*" that most answers end it with.
func groupARN(p place, group string) string {
	return fmt.Sprintf("arn:%s:logs:%s:%s:log-group:%s", partitionOf(p.region), p.region, p.account, group)
}

func streamARN(p place, group, stream string) string {
	return groupARN(p, group) + ":log-stream:" + stream
}

// store holds groups, streams and events.
type store struct {
	mu        sync.RWMutex
	groups    map[place]map[string]*group
	retention AccountRetention
	keys      []string // ARNs of KMS keys
}

type group struct {
	name      string
	created   time.Time
	retention int // days; 0 means for ever
	class     string
	key       string // the KMS key's ARN, "" for none
	tags      map[string]string
	streams   map[string]*stream
}

type stream struct {
	name    string
	created time.Time
	events  []Event // in the order of arrival; empty when they are discarded
	// first and last are the bounds of the accepted timestamps, ingested is when the latest came; 0 when there is none.
	first, last, ingested int64
	bytes                 int64
}

func newStore() *store { return &store{groups: map[place]map[string]*group{}} }

// group finds a group. The caller holds mu.
func (s *store) group(p place, name string) (*group, error) {
	found, ok := s.groups[p][name]
	if !ok {
		return nil, errNotFound("group")
	}
	return found, nil
}

// stream finds a stream and its group. The caller holds mu.
func (s *store) stream(p place, groupName, name string) (*group, *stream, error) {
	in, err := s.group(p, groupName)
	if err != nil {
		return nil, nil, err
	}
	found, ok := in.streams[name]
	if !ok {
		return nil, nil, errNotFound("stream")
	}
	return in, found, nil
}

func (s *store) events(p place, groupName, streamName string) []Event {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, found, err := s.stream(p, groupName, streamName)
	if err != nil {
		return nil
	}
	return slices.Clone(found.events)
}

// sorted is the events by time, those of one time in the order of arrival.
func (s *stream) sorted() []Event {
	byTime := func(a, b Event) int { return cmp.Compare(a.Timestamp, b.Timestamp) }
	if slices.IsSortedFunc(s.events, byTime) {
		return s.events
	}
	events := slices.Clone(s.events)
	slices.SortStableFunc(events, byTime)
	return events
}

func (g *group) bytes() int64 {
	var sum int64
	for _, stream := range g.streams {
		sum += stream.bytes
	}
	return sum
}
