package outcome

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/objects"
)

// TestWhatMayStillBeMadeIsAwaited: as long as other webhooks may keep the request, unless the object shows that it is too late.
func TestWhatMayStillBeMadeIsAwaited(t *testing.T) {
	j, _ := newJudge(&fakeObjects{})
	there, gone := valued("1").Sight, objects.Sight{}
	unbound, onANode := onNode("", 0).Sight, onNode("n1", -time.Minute).Sight
	refused := func(seen *objects.Sight) Verdict { return Verdict{Judgement: notPersisted, seen: seen} }
	for name, test := range map[string]struct {
		event   attempt
		verdict Verdict
		want    bool
	}{
		"a creation, of what is not there": {created(), refused(&gone), true},
		"an update, of what is as it was":  {updated("7", "1", "2"), refused(&there), true},
		"an update, which others deny":     {updated("7", "1", "2"), refused(nil), true},
		"an update, of what is gone":       {updated("7", "1", "2"), refused(&gone), false},
		"an update that was made":          {updated("7", "1", "2"), Verdict{Judgement: persisted, seen: &there}, false},
		"what may not be read":             {updated("7", "1", "2"), Verdict{Judgement: notAllowed}, false},
		"a deletion, of what is there":     {deleted("7", "1"), refused(&there), true},
		"a binding, of what is on none":    {bound(), refused(&unbound), true},
		"a binding, of what is on a node":  {bound(), refused(&onANode), false},
		"a binding, of what is gone":       {bound(), refused(&gone), false},
		"a binding, by what the pod was":   {bound(), refused(nil), false},
	} {
		g := NewWithT(t)
		g.Expect(j.EndsAfter(test.event.Event, &test.verdict)).To(BeZero(), "%s, and nobody else was asked", name)
		test.event.MayBeKept = 10 * time.Second
		ends := time.Time{}
		if test.want {
			ends = eventTime.Add(10*time.Second + unversioned)
		}
		g.Expect(j.EndsAfter(test.event.Event, &test.verdict)).To(BeTemporally("==", ends), name)
	}
}
