package delivery

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// TestLateEventsDelayJudgement: as long as events come from local files, others of their time may come too.
func TestLateEventsDelayJudgement(t *testing.T) {
	g := NewWithT(t)
	come := func(after, late time.Duration) []recorded.Event {
		event := recorded.Event{Seen: recordedTime.Add(after), Late: true}
		event.Head.Time = metav1.NewMicroTime(recordedTime.Add(after - late))
		return []recorded.Event{event}
	}
	at := recordedTime.Add
	var l lag
	old := come(0, time.Hour)
	old[0].Late = false
	l.note(old, at(0))
	g.Expect(l.at(at(0))).To(BeZero(), "it did not wait in a file")

	l.note(come(time.Second, 5*time.Second), at(time.Second))
	l.note(come(2*time.Second, 3*time.Second), at(2*time.Second))
	g.Expect(l.at(at(3 * time.Second))).To(Equal(5 * time.Second))
	g.Expect(l.at(at(time.Second + lagFor + 1))).To(BeZero())

	l.note(come(time.Minute, 3*time.Second), at(time.Minute))
	g.Expect(l.at(at(time.Minute))).To(Equal(3 * time.Second))
	l.note(come(time.Minute, time.Hour), at(time.Minute))
	g.Expect(l.at(at(time.Minute))).To(Equal(maxLag))
}
