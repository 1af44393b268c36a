package outcome

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// TestWhatWasJudgedStillCounts: the second of two requests, of which one was made, comes when the first has been judged.
func TestWhatWasJudgedStillCounts(t *testing.T) {
	g := NewWithT(t)
	first, second := deleted("7", "1"), deleted("7", "1").byBob().after(100*time.Millisecond)
	first.ResourceVersion, second.ResourceVersion = 1, 2
	first.Status.Outcome = v1alpha1.OutcomePersisted
	j, _ := newJudge(&fakeObjects{})
	g.Expect(judgeAll(t.Context(), j, []recorded.Event{*second.Event}, []recorded.Event{*first.Event})).To(HaveExactElements(notPersisted))

	first.Status.Outcome = v1alpha1.OutcomeNotPersisted
	g.Expect(judgeAll(t.Context(), j, []recorded.Event{*second.Event}, []recorded.Event{*first.Event})).To(HaveExactElements(persisted))

	g.Expect(judgeAll(t.Context(), j, []recorded.Event{*second.Event}, nil)).To(HaveExactElements(persisted), "alone")

	shown := updated("7", "1", "2") // by the object, which is gone by now
	shown.Status.Outcome = v1alpha1.OutcomePersisted
	g.Expect(judgeAll(t.Context(), j, []recorded.Event{*second.Event}, []recorded.Event{*shown.Event})).To(HaveExactElements(notPersisted))
}

func TestThePastIsBounded(t *testing.T) {
	g := NewWithT(t)
	var p Past
	events := make([]recorded.Event, maxPast)
	for i := range events {
		events[i] = recorded.Event{ResourceVersion: uint64(i), Spec: []byte("{}"), Head: recorded.Head{Time: metav1.NewMicroTime(eventTime)}}
	}
	at := func(version uint64, pause time.Duration) []recorded.Event {
		return []recorded.Event{{ResourceVersion: version, Head: recorded.Head{Time: metav1.NewMicroTime(eventTime.Add(pause))}}}
	}
	p.Add(events, 0)
	p.Add(at(maxPast, time.Second), 0)
	g.Expect(p.Events).To(HaveLen(maxPast))
	g.Expect(p.Events[0].ResourceVersion).To(BeEquivalentTo(1), "the oldest is forgotten")
	g.Expect(p.Events[0].Spec).To(BeNil())
	g.Expect(events[0].Spec).NotTo(BeNil())

	g.Expect(p.Forgotten).To(BeZero())
	p.Add(at(maxPast+1, pastFor+time.Second), 2*time.Second)
	g.Expect(p.Events).To(HaveLen(maxPast), "they may still count for what comes late")
	p.Add(at(maxPast+1, pastFor+time.Second), 0)
	var versions []uint64
	for i := range p.Events {
		versions = append(versions, p.Events[i].ResourceVersion)
	}
	g.Expect(versions).To(Equal([]uint64{maxPast, maxPast + 1, maxPast + 1}), "what is too old is forgotten")
	g.Expect(p.Forgotten).To(Equal(eventTime))
}
