package outcome

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// TestWhatMayStillBeMadeIsAwaited: as long as other webhooks may keep the request, unless the object shows that it is too late.
func TestWhatMayStillBeMadeIsAwaited(t *testing.T) {
	j, _ := newJudge(&fakeObjects{})
	there, gone := valued("1").Sight, objects.Sight{}
	there.Meta.ResourceVersion = "7"
	later := there
	later.Meta.ResourceVersion = "8"
	unbound, onANode := onNode("", 0).Sight, onNode("n1", -time.Minute).Sight
	refused := func(seen *objects.Sight) Verdict { return Verdict{Judgement: notPersisted, seen: seen} }
	for name, test := range map[string]struct {
		event   attempt
		verdict Verdict
		want    bool
		others  []*recorded.Event
	}{
		"a creation, of what is not there": {created(), refused(&gone), true, nil},
		"an update, of what is as it was":  {updated("7", "1", "2"), refused(&there), true, nil},
		"an update, which others deny":     {updated("7", "1", "2"), refused(nil), true, nil},
		"an update, of what has changed":   {updated("7", "1", "2"), refused(&later), false, nil},
		"an update, of what changed since": {updated("7", "1", "2"), refused(nil), false, []*recorded.Event{updated("8", "3", "4").Event}},
		"an update, of what is gone":       {updated("7", "1", "2"), refused(&gone), false, nil},
		"an update that was made":          {updated("7", "1", "2"), Verdict{Judgement: persisted, seen: &there}, false, nil},
		"what may not be read":             {updated("7", "1", "2"), Verdict{Judgement: notAllowed}, false, nil},
		"a deletion, of what is there":     {deleted("7", "1"), refused(&there), true, nil},
		"a deletion, of what has changed":  {deleted("7", "1"), refused(&later), false, nil},
		"a deletion, of what is gone":      {deleted("7", "1"), refused(&gone), false, nil},
		"a completion, of what changed":    {completed("7"), refused(&later), true, nil},
		"an eviction, of what changed":     {evicted(), refused(&later), true, nil},
		"a binding, of what is on none":    {bound(), refused(&unbound), true, nil},
		"a binding, of what is on a node":  {bound(), refused(&onANode), false, nil},
		"a binding, of what is gone":       {bound(), refused(&gone), false, nil},
		"a binding, by what the pod was":   {bound(), refused(nil), false, nil},
	} {
		g := NewWithT(t)
		known := newHistory(j.Digester, append(test.others, test.event.Event))
		g.Expect(j.endsAfter(test.event.Event, known, &test.verdict)).To(BeZero(), "%s, and nobody else was asked", name)
		test.event.MayBeKept = 10 * time.Second
		ends := time.Time{}
		if test.want {
			ends = eventTime.Add(10*time.Second + unversioned)
		}
		g.Expect(j.endsAfter(test.event.Event, known, &test.verdict)).To(BeTemporally("==", ends), name)
	}
}
