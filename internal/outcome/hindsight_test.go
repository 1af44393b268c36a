package outcome

import (
	"net/url"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// TestWhatIsJudgedLateMayBeAnothers: the same was asked for again, long after it was refused, and the event of that is not known yet.
func TestWhatIsJudgedLateMayBeAnothers(t *testing.T) {
	removed := func(revision uint64) *life { return (&life{}).add(7, valued("1")).add(revision, nil) }
	marked := func(revision uint64) *life {
		return (&life{}).add(7, valued("1")).add(revision, valued("1", going(0), keptBy("a"))).add(revision+100, nil)
	}
	written := func(revision uint64, after time.Duration) *life {
		return (&life{}).add(7, valued("1")).add(revision, valued("2", writtenAt(after)))
	}
	for name, test := range map[string]struct {
		life  *life
		event attempt
		// judged is how long after it was admitted, and apart is why the object has another counter.
		judged time.Duration
		apart  error
		want   ledger.Judgement
	}{
		"deleted at once":              {removed(11), deleted("7", "1").at(10), time.Minute, nil, persisted},
		"deleted later":                {removed(90), deleted("7", "1").at(10), time.Minute, nil, notPersisted},
		"deleted later, judged soon":   {removed(90), deleted("7", "1").at(10), 5 * time.Second, nil, persisted},
		"deleted later, or who knows":  {removed(90), deleted("7", "1").at(10), time.Minute, errTrackLost, persisted},
		"deleted later, it had waited": {removed(90), deleted("7", "1").at(10).held(6 * time.Second), time.Minute, nil, persisted},
		"deleted after it had waited":  {removed(90), deleted("7", "1").at(10).held(4 * time.Second), time.Minute, nil, notPersisted},
		"marked at once":               {marked(11), deleted("7", "1").at(10), time.Minute, nil, persisted},
		"marked later":                 {marked(90), deleted("7", "1").at(10), time.Minute, nil, notPersisted},
		"written at once":              {written(11, 0), updated("7", "1", "2").at(10), time.Minute, nil, persisted},
		"written later":                {written(90, 30*time.Second), updated("7", "1", "2").at(10), time.Minute, nil, notPersisted},
	} {
		t.Run(name, func(t *testing.T) {
			now, _, _ := test.life.at(0)
			fake := &fakeObjects{cached: now, consistent: now, past: test.life.at, apart: test.apart}
			j, clock := newJudge(fake)
			j.StalledUntil = func(time.Time) time.Time { return test.event.HeldUntil }
			clock.SetTime(eventTime.Add(test.judged))
			elsewhere := updated("20", "1", "2").ofPod("u2").at(50).after(8 * time.Second)
			got := judgeAll(t.Context(), j, []recorded.Event{*test.event.Event}, []recorded.Event{*elsewhere.Event})
			NewWithT(t).Expect(got).To(HaveExactElements(test.want))
		})
	}
}

func TestTheRevisionAfterAMoment(t *testing.T) {
	g := NewWithT(t)
	known := revisions{{5, eventTime}, {8, eventTime.Add(time.Second)}, {9, eventTime.Add(time.Second)}}
	g.Expect(known.after(eventTime.Add(-time.Hour))).To(BeEquivalentTo(5))
	g.Expect(known.after(eventTime.Add(time.Millisecond))).To(BeEquivalentTo(8))
	g.Expect(known.after(eventTime.Add(2 * time.Second))).To(BeZero())
}

// TestHindsightConcludesNothingFromAnAPIServerThatIsAway: which counter an object has is part of what it is asked.
func TestHindsightConcludesNothingFromAnAPIServerThatIsAway(t *testing.T) {
	life := (&life{}).add(7, valued("1")).add(90, nil)
	j, clock := newJudge(&fakeObjects{past: life.at, apart: &url.Error{Err: syscall.ECONNREFUSED}})
	clock.SetTime(eventTime.Add(time.Minute))
	elsewhere := updated("20", "1", "2").ofPod("u2").at(50).after(8 * time.Second)
	_, err := j.All(t.Context(), []recorded.Event{*deleted("7", "1").at(10).Event}, []recorded.Event{*elsewhere.Event}, false)
	NewWithT(t).Expect(err).To(MatchError(syscall.ECONNREFUSED))
}
