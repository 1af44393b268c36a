package outcome

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// askedOthers is a judge of a cluster in which other webhooks are asked about everything.
func askedOthers(objects *fakeObjects) *Judge {
	j, _ := newJudge(objects)
	j.MayBeKept = func(*v1alpha1.ResourceReference, v1alpha1.Action) time.Duration { return 10 * time.Second }
	return j
}

// onOther is an update of another object, which tells when a revision was made.
func onOther(version uint64, after time.Duration) attempt {
	return updated("3", "1", "2").ofPod("u2").at(version).after(after)
}

// TestSlowWebhooksAreNoted by when an object was changed, unless something else explains that.
func TestSlowWebhooksAreNoted(t *testing.T) {
	late := func() *life { return (&life{}).add(7, valued("1")).add(14, valued("2")) }
	event := func() attempt { return updated("7", "1", "2").at(8) }
	for name, test := range map[string]struct {
		event  attempt
		life   *life
		others []attempt
		change func(*Options)
		want   bool
	}{
		"made when others had come since":        {event(), late(), []attempt{onOther(12, 3*time.Second)}, nil, true},
		"made when the API server noted it":      {event(), (&life{}).add(7, valued("1")).add(14, valued("2", writtenAt(4*time.Second))), nil, nil, true},
		"made before that":                       {event(), late(), []attempt{onOther(16, 3*time.Second)}, nil, false},
		"made by a second try":                   {event(), late(), []attempt{onOther(12, 1500*time.Millisecond)}, nil, false},
		"made just after":                        {event(), late(), []attempt{onOther(12, unversioned/2)}, nil, false},
		"made at once, and something else later": {event(), (&life{}).add(7, valued("1")).add(10, valued("2")).add(14, valued("2")), []attempt{onOther(12, 3*time.Second)}, nil, false},
		"refused, and made by another later":     {event(), (&life{}).add(7, valued("1")).add(13, valued("3")).add(14, valued("2")), []attempt{onOther(12, 3*time.Second)}, nil, false},
		"by one of two":                          {event(), late(), []attempt{onOther(12, 3*time.Second), updated("7", "1", "2").byBob().at(13).after(3 * time.Second)}, nil, false},
		"by a slow API server":                   {event(), late(), []attempt{onOther(9, -900*time.Millisecond), onOther(12, 3*time.Second)}, nil, false},
		"nobody else was asked": {event(), late(), []attempt{onOther(12, 3*time.Second)}, func(o *Options) {
			o.MayBeKept = func(*v1alpha1.ResourceReference, v1alpha1.Action) time.Duration { return 0 }
		}, false},
		"the API server waited": {event(), late(), []attempt{onOther(12, 3*time.Second)}, func(o *Options) {
			o.StalledUntil = func(time.Time) time.Time { return eventTime.Add(time.Second) }
		}, false},
		"nobody knows if it did": {event(), late(), []attempt{onOther(12, 3*time.Second)}, func(o *Options) {
			o.StallsKnown = func(time.Time) bool { return false }
		}, false},
		"longer after than it may be kept": {event(), late(), []attempt{onOther(12, 12*time.Second)}, nil, false},
		"something was missed": {event(), late(), []attempt{onOther(12, 3*time.Second)}, func(o *Options) {
			o.NothingMissed = func(*v1alpha1.ResourceReference, time.Time) bool { return false }
		}, false},
		"of a trail that records some": {event(), late(), []attempt{onOther(12, 3*time.Second)}, func(o *Options) {
			o.DeletesAreRecorded = func(*v1alpha1.ResourceReference) bool { return false }
		}, false},
		"kept in a local file":      {event().late(), (&life{}).add(7, valued("1")).add(14, valued("2", writtenAt(4*time.Second))), nil, nil, false},
		"versions that count apart": {event().at(6), late(), []attempt{onOther(12, 3*time.Second)}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			now, _, err := test.life.at(0)
			g.Expect(err).NotTo(HaveOccurred())
			j := askedOthers(&fakeObjects{cached: now, consistent: now, past: test.life.at})
			if test.change != nil {
				test.change(&j.Options)
			}
			events, others := []recorded.Event{*test.event.Event}, []recorded.Event{}
			for _, other := range append([]attempt{onOther(20, 13*time.Second)}, test.others...) {
				others = append(others, *other.Event)
			}
			_, err = j.All(t.Context(), events, others, true)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(j.SlowWebhooks.at(eventTime)).To(Equal(test.want))
			*j.SlowWebhooks = SlowWebhooks{}
			_, err = j.All(t.Context(), events, others, false)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(j.SlowWebhooks.at(eventTime)).To(BeFalse(), "of a backlog")
			_, err = j.All(t.Context(), events, others[1:], true)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(j.SlowWebhooks.at(eventTime)).To(BeFalse(), "before anything of later is known")
		})
	}
}

// TestTheJudgeReckonsWithSlowWebhooks as soon as it has learned of them.
func TestTheJudgeReckonsWithSlowWebhooks(t *testing.T) {
	life := (&life{}).add(7, valued("1")).add(14, valued("2")).add(24, valued("3"))
	now, _, err := life.at(0)
	g := NewWithT(t)
	g.Expect(err).NotTo(HaveOccurred())
	rivals := []attempt{updated("14", "2", "3").at(20).after(3 * time.Second), updated("14", "2", "3").at(22).after(5 * time.Second).byBob()}
	events := []recorded.Event{*rivals[0].Event, *rivals[1].Event}
	all := append([]recorded.Event{*updated("7", "1", "2").at(8).Event}, events...)
	j := askedOthers(&fakeObjects{cached: now, consistent: now, past: life.at})
	g.Expect(judgeAll(t.Context(), j, events, nil)).To(HaveExactElements(notPersisted, persisted), "while nothing shows that they are slow")
	verdicts, err := j.All(t.Context(), all, []recorded.Event{*onOther(12, 3*time.Second).Event}, true)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(verdicts[1:]).To(HaveEach(HaveField("Judgement", contested)))
}

// TestOnlySoManyAreTimed of those of which nothing else is to be learned: each costs some reads.
func TestOnlySoManyAreTimed(t *testing.T) {
	g := NewWithT(t)
	followed := atomic.Int64{}
	j := askedOthers(&fakeObjects{past: func(revision uint64) (objects.Sight, uint64, error) {
		if revision == 0 {
			followed.Add(1)
		}
		return objects.Sight{}, 0, nil
	}})
	events, others := make([]recorded.Event, 2*maxTimed), []recorded.Event{*onOther(12, 3*time.Second).Event}
	for i := range events {
		uid := fmt.Sprintf("u1%d", i)
		events[i] = *updated("7", "1", "2").ofPod(uid).at(8).Event
		others = append(others, *updated("14", "2", "3").ofPod(uid).at(16).after(3 * time.Second).Event)
	}
	verdicts, err := j.All(t.Context(), events, others, true)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(verdicts).To(HaveEach(HaveField("Judgement", persisted)))
	g.Expect(followed.Swap(0)).To(BeEquivalentTo(maxTimed))

	j.SlowWebhooks.note(eventTime)
	_, err = j.All(t.Context(), events, others, true)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(followed.Load()).To(BeZero(), "of those of which it is known already")
}

// TestSlownessIsForgotten when it has been over for long, and lasts while it is seen again.
func TestSlownessIsForgotten(t *testing.T) {
	g := NewWithT(t)
	var s SlowWebhooks
	g.Expect(s.at(eventTime)).To(BeFalse())
	for _, after := range []time.Duration{0, slowFor + time.Second, 2*slowFor + 2*time.Second, 10 * slowFor} {
		g.Expect(s.note(eventTime.Add(after))).To(BeTrue())
		g.Expect(s.note(eventTime.Add(after))).To(BeFalse(), "it is known by then")
	}
	last := eventTime.Add(10 * slowFor)
	g.Expect(s.at(eventTime.Add(slowFor))).To(BeFalse())
	g.Expect(s.at(last.Add(-slowBefore / 2))).To(BeTrue())
	g.Expect(s.at(last.Add(-slowBefore * 2))).To(BeFalse())
	g.Expect(s.at(last.Add(slowFor / 2))).To(BeTrue())
	g.Expect(s.at(last.Add(slowFor * 2))).To(BeFalse())
}
