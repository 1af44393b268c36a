package presence

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Annotations of the Lease.
const (
	entryPrefix = "recorder.audit.trailkeeper.dev/"
	// accountedKey holds the moment up to which every window was told.
	accountedKey = "audit.trailkeeper.dev/accounted"
	// claimKey holds windows that a replica is about to tell.
	claimKey = "audit.trailkeeper.dev/claim"
	// gapsKey holds the windows that there were, told or not, for replicas that start later.
	gapsKey = "audit.trailkeeper.dev/gaps"
)

// maxGaps bounds the windows that the Lease holds: some 80 bytes each.
const maxGaps = 16

// Window is a time in which no replica is known to have recorded.
type Window struct {
	// Start is the last sign of life before it.
	Start time.Time `json:"start"`
	// End is when a replica recorded again.
	End time.Time `json:"end"`
}

// Past is what a replica knows of the time before it recorded.
type Past struct {
	// Covered is from when on some replica recorded, without a break, until this one did.
	Covered time.Time
	// Gaps are the windows before that, whichever replica told them: the latest 15 are exact, and the first stands for all older
	// ones and what was between these.
	Gaps []Window
}

// GapAfter is the beginning of the first gap that ends after a moment, which may be before the moment; zero when there is none.
func (p *Past) GapAfter(moment time.Time) (first time.Time) {
	for _, gap := range p.Gaps {
		if moment.Before(gap.End) && (first.IsZero() || gap.Start.Before(first)) {
			first = gap.Start
		}
	}
	return first
}

// entry is one replica, by its own clock.
type entry struct {
	// Replica is its name, for people.
	Replica string `json:"replica"`
	// Since is when it was ready to record.
	Since time.Time `json:"since"`
	// Seen is its last sign of life.
	Seen time.Time `json:"seen"`
	// Shards is into how many parts it divides what replicas share; 0 for one that shares nothing.
	Shards int `json:"shards,omitempty"`
	// Stopped says that Seen is when it stopped in good order.
	Stopped bool `json:"stopped,omitempty"`
	// Stalls are those it knows of; nil where an older version wrote the entry.
	Stalls *stalls `json:"stalls,omitempty"`
}

// claim is windows that a replica is about to tell.
type claim struct {
	By      string   `json:"by"`
	Windows []Window `json:"windows"`
}

// state is what the Lease says. What cannot be read is left out: somebody else wrote it.
type state struct {
	entries map[string]entry
	// accounted is zero when nothing was accounted for yet.
	accounted time.Time
	claim     *claim
	gaps      []Window
}

func parse(annotations map[string]string) state {
	s := state{entries: map[string]entry{}}
	for key, value := range annotations {
		if id, ok := strings.CutPrefix(key, entryPrefix); ok {
			var e entry
			if json.Unmarshal([]byte(value), &e) == nil {
				s.entries[id] = e
			}
		}
	}
	if accounted, err := time.Parse(time.RFC3339Nano, annotations[accountedKey]); err == nil {
		s.accounted = accounted
	}
	var pending claim
	if json.Unmarshal([]byte(annotations[claimKey]), &pending) == nil && len(pending.Windows) > 0 {
		s.claim = &pending
	}
	if json.Unmarshal([]byte(annotations[gapsKey]), &s.gaps) != nil {
		s.gaps = nil
	}
	return s
}

// uncovered are the windows between what was accounted for and the moment until, in which no replica recorded. The
// living are the ids of the replicas that are known to record still.
func (s *state) uncovered(until time.Time, living map[string]bool) []Window {
	spans := s.spans(until, living)
	var windows []Window
	covered := s.accounted
	if covered.IsZero() {
		// Nothing was recorded before the first replica that there ever was.
		if len(spans) == 0 {
			return nil
		}
		covered = spans[0].Since
	}
	for _, span := range spans {
		if span.Since.After(covered) && covered.Before(until) {
			windows = append(windows, Window{covered, earlier(span.Since, until)})
		}
		covered = later(covered, span.Seen)
	}
	if covered.Before(until) {
		windows = append(windows, Window{covered, until})
	}
	return windows
}

// past is what replicas did before a moment.
func (s *state) past(until time.Time, living map[string]bool) Past {
	past := Past{Covered: until, Gaps: joined(s.gaps, s.uncovered(until, living))}
	var to time.Time
	for _, span := range s.spans(until, living) {
		if span.Since.After(to) {
			past.Covered = earlier(span.Since, until)
		}
		to = later(to, span.Seen)
	}
	if to.Before(until) {
		past.Covered = until
	}
	return past
}

// joined are windows that follow each other; where there are too many, one stands for the oldest of them.
func joined(older, newer []Window) []Window {
	all := slices.Concat(older, newer)
	if over := len(all) - maxGaps; over > 0 {
		all[over].Start = all[0].Start
		all = all[over:]
	}
	return all
}

// spans are when replicas recorded, by their beginnings.
func (s *state) spans(until time.Time, living map[string]bool) []entry {
	spans := make([]entry, 0, len(s.entries))
	for id, e := range s.entries {
		if living[id] && e.Seen.Before(until) {
			e.Seen = until
		}
		spans = append(spans, e)
	}
	slices.SortFunc(spans, func(a, b entry) int { return a.Since.Compare(b.Since) })
	return spans
}

// forgettable are the replicas that do not live and say nothing about the time after what is accounted for.
func (s *state) forgettable(accounted time.Time, living map[string]bool) []string {
	var ids []string
	for id, e := range s.entries {
		if !living[id] && !e.Seen.After(accounted) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// encode is the value of an annotation. These types can always be encoded.
func encode(value any) *string {
	encoded, _ := json.Marshal(value)
	text := string(encoded)
	return &text
}
