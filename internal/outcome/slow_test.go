package outcome

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// TestASlowAPIServerTellsLess: where storing events takes long, requests that are further apart were in each other's way.
func TestASlowAPIServerTellsLess(t *testing.T) {
	ms := time.Millisecond
	tests := map[string]struct {
		slow attempt
		want []fate
	}{
		"it answers at once":              {created().at(119).after(600 * ms), []fate{notMade, made}},
		"it is slow":                      {created().at(119).after(200 * ms), []fate{contest, contest}},
		"it was slow long before":         {created().at(91).after(-time.Minute), []fate{notMade, made}},
		"it was slow a moment before":     {created().at(99).after(-2 * time.Second), []fate{notMade, made}},
		"an event waited in a file":       {created().at(119).after(-400 * ms).late(), []fate{notMade, made}},
		"it had been slow for a while":    {created().at(119).after(-1200 * ms), []fate{contest, contest}},
		"it was slow from then on":        {created().at(150).after(300 * ms), []fate{contest, contest}},
		"it was slow a moment later":      {created().at(150).after(1200 * ms), []fate{contest, contest}},
		"it was slow a few seconds later": {created().at(150).after(3 * time.Second), []fate{notMade, made}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			first, second := deleted("110", "1").at(115), deleted("110", "1").byBob().after(600*ms).at(118)
			before := created().at(90).after(900*ms - time.Minute)
			shortly := created().at(98).after(-1400 * ms)
			after := created().at(149).after(3400 * ms)
			own := []*recorded.Event{first.Event, second.Event, created().at(100).Event, completed("120").after(700 * ms).at(130).Event}
			all := append([]*recorded.Event{before.Event, shortly.Event, test.slow.Event, after.Event}, own...)
			inOrder(all)
			noteSlowness(all)
			h := newHistory(testDigester, own)
			NewWithT(t).Expect([]fate{h.fate(first.Event), h.fate(second.Event)}).To(Equal(test.want))
		})
	}
}

// TestAStallIsReckonedOnce: how long the API server stored nothing says until when a request may have waited, and not how slow it was
// from then on.
func TestAStallIsReckonedOnce(t *testing.T) {
	const ms = time.Millisecond
	tests := map[string]struct {
		again attempt
		want  []fate
	}{
		"it answers at once again": {created().at(140).after(6500 * ms), []fate{notMade, made}},
		"it is slow again":         {created().at(149).after(4900 * ms), []fate{contest, contest}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			first, second := deleted("110", "1").at(115).held(5*time.Second), deleted("110", "1").byBob().after(7*time.Second).at(152)
			stalled, stored := created().at(131).after(100*ms), created().at(130).after(3*time.Second)
			soon := created().at(148).after(5900 * ms)
			own := []*recorded.Event{first.Event, second.Event, created().at(100).Event, completed("155").after(7100 * ms).at(160).Event}
			all := append([]*recorded.Event{stalled.Event, stored.Event, soon.Event, test.again.Event}, own...)
			inOrder(all)
			noteSlowness(all)
			h := newHistory(testDigester, own)
			NewWithT(t).Expect([]fate{h.fate(first.Event), h.fate(second.Event)}).To(Equal(test.want))
		})
	}
}

func TestTheJudgeKnowsOfSlownessAfterAStall(t *testing.T) {
	j, _ := newJudge(&fakeObjects{})
	j.StalledUntil = func(moment time.Time) time.Time { return moment.Add(5 * time.Second) }
	events := []recorded.Event{*updated("7", "1", "2").at(8).Event, *created().at(20).after(6 * time.Second).Event, *created().at(21).after(5 * time.Second).Event}
	j.histories(events, nil)
	NewWithT(t).Expect(events[0].SlowAgain).To(Equal(time.Second))
}
