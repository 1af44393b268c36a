package cloudsim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// maxPageEvents and maxPageBytes bound one answer of GetLogEvents and FilterLogEvents.
const (
	maxPageEvents = 10_000
	maxPageBytes  = 1 << 20
)

type outputEvent struct {
	Timestamp     int64  `json:"timestamp"`
	Message       string `json:"message"`
	IngestionTime int64  `json:"ingestionTime"`
}

type getLogEventsOutput struct {
	Events            []outputEvent `json:"events"`
	NextForwardToken  string        `json:"nextForwardToken"`
	NextBackwardToken string        `json:"nextBackwardToken"`
}

// getLogEvents reads one stream by time. Tokens are positions: f/N reads on from N, b/N reads back from N; a client
// knows the end by getting the token that it sent.
func (s *Simulator) getLogEvents(c *call) (any, error) {
	if err := c.checkNames(); err != nil {
		return nil, err
	}
	size, err := pageSize(c.logs.Limit, maxPageEvents)
	if err != nil {
		return nil, err
	}
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	_, from, err := s.store.stream(c.place(), c.group, c.stream)
	if err != nil {
		return nil, err
	}
	events := slices.DeleteFunc(slices.Clone(from.sorted()), func(e Event) bool {
		return !inRange(e, c.logs) || c.logs.EndTime != nil && e.Timestamp == *c.logs.EndTime
	})
	start, end := 0, len(events)
	forward := c.logs.StartFromHead != nil && *c.logs.StartFromHead
	if token := c.logs.NextToken; token != "" {
		forward = strings.HasPrefix(token, "f/")
		at, err := parseToken(token, token[:min(2, len(token))], len(events))
		if err != nil {
			return nil, err
		}
		if start = at; !forward {
			start, end = 0, at
		}
	}
	if forward {
		end = start + fit(events[start:], size)
	} else {
		backwards := slices.Clone(events[:end])
		slices.Reverse(backwards)
		start = end - fit(backwards, size)
	}
	output := getLogEventsOutput{
		Events: []outputEvent{}, NextForwardToken: formatToken("f/", end), NextBackwardToken: formatToken("b/", start),
	}
	for _, e := range events[start:end] {
		output.Events = append(output.Events, outputEvent{e.Timestamp, e.Message, e.IngestionTime})
	}
	return output, nil
}

// fit is how many of the first events go on a page.
func fit(events []Event, most int) int {
	bytes := 0
	for i, e := range events {
		if bytes += len(e.Message) + eventOverhead; i == most || i > 0 && bytes > maxPageBytes {
			return i
		}
	}
	return len(events)
}

// inRange reports whether an event is within the times of a request, both inclusive.
func inRange(e Event, request *logsRequest) bool {
	return (request.StartTime == nil || e.Timestamp >= *request.StartTime) &&
		(request.EndTime == nil || e.Timestamp <= *request.EndTime)
}

type filteredEvent struct {
	LogStreamName string `json:"logStreamName"`
	Timestamp     int64  `json:"timestamp"`
	Message       string `json:"message"`
	IngestionTime int64  `json:"ingestionTime"`
	EventID       string `json:"eventId"`
}

type searchedStream struct {
	Name       string `json:"logStreamName"`
	Completely bool   `json:"searchedCompletely"`
}

type filterLogEventsOutput struct {
	Events   []filteredEvent  `json:"events"`
	Searched []searchedStream `json:"searchedLogStreams"`
	Next     string           `json:"nextToken,omitempty"`
}

// filterLogEvents reads the streams of a group by time. Its token is the index of the next event that matches.
func (s *Simulator) filterLogEvents(c *call) (any, error) {
	if err := checkGroupName(c.group); err != nil {
		return nil, err
	}
	if len(c.logs.LogStreamNames) > 0 && c.logs.LogStreamNamePrefix != "" {
		return nil, errParameter("logStreamNames and logStreamNamePrefix are mutually exclusive.")
	}
	pattern, err := parsePattern(c.logs.FilterPattern)
	if err != nil {
		return nil, err
	}
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	in, err := s.store.group(c.place(), c.group)
	if err != nil {
		return nil, err
	}
	found := []filteredEvent{}
	for _, name := range slices.Sorted(maps.Keys(in.streams)) {
		if names := c.logs.LogStreamNames; len(names) > 0 && !slices.Contains(names, name) ||
			!strings.HasPrefix(name, c.logs.LogStreamNamePrefix) {
			continue
		}
		for i, e := range in.streams[name].events {
			if inRange(e, c.logs) && pattern.matches(e.Message) {
				id := fmt.Sprintf("%028d%028d", e.Timestamp, i)
				found = append(found, filteredEvent{name, e.Timestamp, e.Message, e.IngestionTime, id})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b filteredEvent) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
	if c.logs.StartFromHead != nil && !*c.logs.StartFromHead {
		slices.Reverse(found)
	}
	found, next, err := page(found, c.logs.NextToken, c.logs.Limit, maxPageEvents)
	return filterLogEventsOutput{Events: found, Searched: []searchedStream{}, Next: next}, err
}

// formatToken and parseToken turn a position into an opaque token and back.
func formatToken(prefix string, position int) string { return fmt.Sprintf("%s%056d", prefix, position) }

func parseToken(token, prefix string, most int) (int, error) {
	if token == "" {
		return 0, nil
	}
	position, err := strconv.Atoi(strings.TrimPrefix(token, prefix))
	if err != nil || position < 0 || position > most {
		return 0, errParameter("The specified nextToken is invalid.")
	}
	return position, nil
}
