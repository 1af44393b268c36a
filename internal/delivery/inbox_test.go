package delivery

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

func TestInboxFallsBehindRatherThanGrow(t *testing.T) {
	g := NewWithT(t)
	box := newInbox(2000)
	event := func(version uint64) *recorded.Event {
		return &recorded.Event{ResourceVersion: version, Spec: make(jsontext.Value, 400)}
	}
	box.offer(event(1))
	events, behind := box.take()
	g.Expect(events).To(BeEmpty(), "an inbox that was never followed takes nothing")
	g.Expect(behind).To(BeTrue())

	box.follow()
	for version := range uint64(5) {
		box.offer(event(version + 2))
	}
	events, behind = box.take()
	g.Expect(events).To(HaveLen(2))
	g.Expect(events[1].ResourceVersion).To(BeEquivalentTo(3))
	g.Expect(behind).To(BeTrue())
}
