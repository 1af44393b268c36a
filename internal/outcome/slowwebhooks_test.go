package outcome

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// TestSlowWebhooksAreNoted by what seemed refused and was made later, unless something else explains that.
func TestSlowWebhooksAreNoted(t *testing.T) {
	there, gone := valued("1").Sight, objects.Sight{}
	seemed, was := Verdict{Judgement: notPersisted, seen: &there}, Verdict{Judgement: persisted, seen: &there}
	for name, test := range map[string]struct {
		change        func(*recorded.Event)
		before, after Verdict
		want          bool
	}{
		"made late":                {func(*recorded.Event) {}, seemed, was, true},
		"made at once":             {func(*recorded.Event) {}, was, was, false},
		"refused":                  {func(*recorded.Event) {}, seemed, seemed, false},
		"as other events told":     {func(*recorded.Event) {}, seemed, Verdict{Judgement: persisted}, false},
		"undone, as others told":   {func(*recorded.Event) {}, Verdict{Judgement: notPersisted}, was, false},
		"created late":             {func(e *recorded.Event) { *e = *created().Event; e.MayBeKept = 10 * time.Second }, Verdict{Judgement: notPersisted, seen: &gone}, was, true},
		"nobody else was asked":    {func(e *recorded.Event) { e.MayBeKept = 0 }, seemed, was, false},
		"kept locally":             {func(e *recorded.Event) { e.Late = true }, seemed, was, false},
		"a slow API server":        {func(e *recorded.Event) { e.Slow = time.Second }, seemed, was, false},
		"an API server that waits": {func(e *recorded.Event) { e.HeldUntil = eventTime.Add(time.Second) }, seemed, was, false},
		"nobody knows if it did":   {func(e *recorded.Event) { e.Unwatched = true }, seemed, was, false},
	} {
		g := NewWithT(t)
		s, event := SlowWebhooks{}, updated("7", "1", "2")
		event.MayBeKept = 10 * time.Second
		test.change(event.Event)
		g.Expect(s.Note(event.Event, &test.before, &test.after)).To(Equal(test.want), name)
		g.Expect(s.Note(event.Event, &test.before, &test.after)).To(BeFalse(), "%s, which is known by then", name)
		g.Expect(s.at(eventTime)).To(Equal(test.want), name)
		g.Expect(s.at(eventTime.Add(-slowBefore/2))).To(Equal(test.want), name)
		g.Expect(s.at(eventTime.Add(-slowBefore*2))).To(BeFalse(), name)
		g.Expect(s.at(eventTime.Add(slowFor*2))).To(BeFalse(), name)
	}
}

// TestSlownessIsForgotten when it has been over for long, and lasts while it is seen again.
func TestSlownessIsForgotten(t *testing.T) {
	g := NewWithT(t)
	var s SlowWebhooks
	for _, at := range []time.Duration{0, slowFor + time.Second, 2*slowFor + 2*time.Second, 10 * slowFor} {
		event := updated("7", "1", "2").after(at)
		event.MayBeKept = 10 * time.Second
		there := valued("1").Sight
		g.Expect(s.Note(event.Event, &Verdict{Judgement: notPersisted, seen: &there}, &Verdict{Judgement: persisted, seen: &there})).To(BeTrue())
	}
	g.Expect(s.at(eventTime.Add(slowFor))).To(BeFalse())
	g.Expect(s.at(eventTime.Add(10 * slowFor))).To(BeTrue())
}

// TestTheJudgeReckonsWithSlowWebhooks where they were seen to be slow.
func TestTheJudgeReckonsWithSlowWebhooks(t *testing.T) {
	g := NewWithT(t)
	j, _ := newJudge(&fakeObjects{})
	j.MayBeKept = func(*v1alpha1.ResourceReference, v1alpha1.Action) time.Duration { return 10 * time.Second }
	events := []recorded.Event{*updated("7", "1", "2").Event}
	j.histories(events, nil)
	g.Expect([]time.Duration{events[0].MayBeKept, events[0].Kept}).To(Equal([]time.Duration{10 * time.Second, 0}))
	there := valued("1").Sight
	j.SlowWebhooks.Note(&events[0], &Verdict{Judgement: notPersisted, seen: &there}, &Verdict{Judgement: persisted, seen: &there})
	j.histories(events, nil)
	g.Expect(events[0].Kept).To(Equal(10 * time.Second))
}
