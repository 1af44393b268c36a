package delivery

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// TestWhatWasJudgedStillCounts: the second of two requests, of which one was made, comes when the first has been judged.
func TestWhatWasJudgedStillCounts(t *testing.T) {
	g := NewWithT(t)
	first, second := deleted("7", "1"), deleted("7", "1").byBob().after(100*time.Millisecond)
	first.ResourceVersion, second.ResourceVersion = 1, 2
	first.Status.Outcome = v1alpha1.OutcomePersisted
	j, _ := newJudge(&fakeObjects{})
	g.Expect(judgeAll(j, t.Context(), []Event{*second.Event}, []Event{*first.Event})).To(HaveExactElements(notPersisted))

	first.Status.Outcome = v1alpha1.OutcomeNotPersisted
	g.Expect(judgeAll(j, t.Context(), []Event{*second.Event}, []Event{*first.Event})).To(HaveExactElements(persisted))

	g.Expect(judgeAll(j, t.Context(), []Event{*second.Event}, nil)).To(HaveExactElements(persisted), "alone")

	shown := updated("7", "1", "2") // by the object, which is gone by now
	shown.Status.Outcome = v1alpha1.OutcomePersisted
	g.Expect(judgeAll(j, t.Context(), []Event{*second.Event}, []Event{*shown.Event})).To(HaveExactElements(notPersisted))
}

func TestThePastIsBounded(t *testing.T) {
	g := NewWithT(t)
	var p past
	events := make([]Event, maxPast)
	for i := range events {
		events[i] = Event{ResourceVersion: uint64(i), Seen: eventTime, Spec: []byte("{}")}
	}
	p.add(events, eventTime)
	p.add([]Event{{ResourceVersion: maxPast, Seen: eventTime.Add(time.Second)}}, eventTime.Add(time.Second))
	g.Expect(p.events).To(HaveLen(maxPast))
	g.Expect(p.events[0].ResourceVersion).To(BeEquivalentTo(1), "the oldest is forgotten")
	g.Expect(p.events[0].Spec).To(BeNil())
	g.Expect(events[0].Spec).NotTo(BeNil())

	p.add(nil, eventTime.Add(pastFor+time.Second))
	g.Expect(versionsOf(p.events)).To(Equal([]uint64{maxPast}), "what is too old is forgotten")
}
