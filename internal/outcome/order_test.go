package outcome

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// At says when the event was stored, in the counter of the object's versions.
func (a attempt) at(version uint64) attempt {
	a.ResourceVersion = version
	return a
}

// TestTheOrderOfVersionsTells: versions of events and of objects come from one counter, so what was replaced before an event
// was stored is known exactly, however close the requests came.
func TestTheOrderOfVersionsTells(t *testing.T) {
	ms := time.Millisecond
	birth := created().at(100)
	tests := map[string]struct {
		first  attempt
		others []attempt
		want   fate
	}{
		"stored after its base was replaced": {
			deleted("110", "1").byBob().after(5 * ms).at(122), []attempt{birth, deleted("110", "1").at(115), completed("120").at(130)}, notMade,
		},
		"stored before its base was replaced": {
			deleted("110", "1").at(115), []attempt{birth, deleted("110", "1").byBob().after(5 * ms).at(122), completed("120").at(130)}, made,
		},
		"both were stored before": {
			deleted("110", "1").at(115), []attempt{birth, deleted("110", "1").byBob().after(5 * ms).at(118), completed("120").at(130)}, contest,
		},
		"the same user's first": {
			deleted("110", "1").at(115), []attempt{birth, deleted("110", "1").after(5 * ms).at(118), completed("120").at(130)}, notMade,
		},
		"the same user's second": {
			deleted("110", "1").after(5 * ms).at(118), []attempt{birth, deleted("110", "1").at(115), completed("120").at(130)}, made,
		},
		"evicted in vain, then deleted by the same user": {
			evicted().on("110").at(115), []attempt{birth, deleted("110", "1").after(500 * ms).at(118), completed("120").at(130)}, notMade,
		},
		"the event waited in a local file": {
			deleted("110", "1").at(500).late(), []attempt{birth, completed("120").at(130)}, made,
		},
		"the event was stored long after others of its time": {
			deleted("110", "1").at(500), []attempt{birth, completed("120").at(130), updated("120", "1", "2").after(2 * time.Second).at(140)}, made,
		},
		"the counter of the events is ahead": {
			deleted("7", "1").at(115), []attempt{birth, completed("8").at(130)}, made,
		},
		"the counter of the events is behind": {
			deleted("7000", "1").at(115), []attempt{birth, completed("8000").at(130)}, made,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			events := []*recorded.Event{test.first.Event}
			for _, other := range test.others {
				events = append(events, other.Event)
			}
			inOrder(events)
			NewWithT(t).Expect(newHistory(testDigester, events).fate(test.first.Event)).To(Equal(test.want))
		})
	}
}

func (a attempt) moved() attempt {
	a.Moved = true
	return a
}

func (a attempt) late() attempt {
	a.Late = true
	return a
}
