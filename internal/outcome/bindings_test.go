package outcome

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// bound is a binding of the pod u1 to the node n1, as its scheduler asks for it.
func bound() attempt {
	a := created().ofPod("u1").at(10)
	a.Head.Resource.Subresource, a.Head.Resource.Kind = "binding", "Binding"
	a.Head.Evidence = []v1alpha1.Evidence{{Path: "/spec/nodeName", Digest: testDigester.Digest("n1")}}
	return a
}

// onNode is the pod when it is on a node, where the scheduler put it so long after the event; it is on none where that is empty.
func onNode(node string, after time.Duration) *footprint {
	f := valued("1")
	f.Meta.CreationTimestamp = metav1.Time{Time: eventTime.Add(-time.Hour)}
	f.Body = []byte(`{"spec":{}}`)
	if node != "" {
		f.Body = fmt.Appendf(nil, `{"spec":{"nodeName":%q},"status":{"conditions":[{"type":"PodScheduled","status":"True","lastTransitionTime":%q}]}}`,
			node, eventTime.Add(after).Truncate(time.Second).Format(time.RFC3339))
	}
	return f
}

// TestABindingIsNoCreation of the pod whose uid it names.
func TestABindingIsNoCreation(t *testing.T) {
	pod, changed := created().ofPod("u1").at(5), updated("9", "1", "2").ofPod("u1").at(10).after(time.Second)
	binding := bound().at(7).after(50 * time.Millisecond)
	now := onNode("n1", 0).Sight
	j, _ := newJudge(&fakeObjects{consistent: now, cached: now})
	got := judgeAll(t.Context(), j, []recorded.Event{*pod.Event, *binding.Event}, []recorded.Event{*changed.Event})
	NewWithT(t).Expect(got).To(HaveExactElements(persisted, persisted))
	binding.Head.Resource.Resource, binding.Head.Resource.Subresource = "bindings", ""
	got = judgeAll(t.Context(), j, []recorded.Event{*pod.Event, *binding.Event}, []recorded.Event{*changed.Event})
	NewWithT(t).Expect(got).To(HaveExactElements(persisted, ledger.Judgement{}), "in the old way")
}

func TestBindings(t *testing.T) {
	unbound, gone := onNode("", 0), (*footprint)(nil)
	another := onNode("n1", 0)
	another.Meta.UID, another.Meta.CreationTimestamp = "u2", metav1.Time{Time: eventTime.Truncate(time.Second)}
	anew := onNode("n1", time.Minute)
	anew.Meta.CreationTimestamp = metav1.Time{Time: eventTime.Add(time.Minute)}
	unsaid := func() *footprint {
		f := onNode("n1", 0)
		f.Body = []byte(`{"spec":{"nodeName":"n1"}}`)
		return f
	}
	nameless := bound()
	nameless.Head.Resource.UID = ""
	others := updated("45", "1", "2").ofPod("u3").at(50).after(time.Minute)
	rival := bound().byBob().at(11).after(20 * time.Millisecond)
	far := bound().byBob().at(15).after(900 * time.Millisecond)
	refused := bound().byBob().at(11).after(20 * time.Millisecond)
	refused.Status.Outcome = v1alpha1.OutcomeNotPersisted
	kept := bound().late().at(30)
	kept.After = 6
	keptNameless := bound().late().at(30)
	keptNameless.Head.Resource.UID, keptNameless.After = "", 6
	before := updated("8", "1", "2").ofPod("u1").at(31).after(-time.Millisecond).late()
	later := updated("8", "1", "2").ofPod("u1").at(31).after(time.Millisecond).late()
	seenLater, seenSoon := updated("5", "1", "2").ofPod("u1").at(31).after(4*time.Second), updated("5", "1", "2").ofPod("u1").at(31).after(time.Second)
	for name, test := range map[string]struct {
		event attempt
		life  *life
		rival *attempt
		want  ledger.Judgement
	}{
		"made":                                   {bound(), (&life{}).add(5, unbound).add(12, onNode("n1", 0)), nil, persisted},
		"made, by its name":                      {nameless, (&life{}).add(5, unbound).add(12, onNode("n1", 0)), nil, persisted},
		"refused":                                {bound(), (&life{}).add(5, unbound), nil, notPersisted},
		"to another node":                        {bound(), (&life{}).add(5, unbound).add(12, onNode("n2", 0)), nil, notPersisted},
		"bound long before":                      {bound(), (&life{}).add(5, onNode("n1", -time.Minute)), nil, notPersisted},
		"bound long after":                       {bound(), (&life{}).add(5, unbound).add(60, onNode("n1", time.Minute)), nil, notPersisted},
		"made, and its conditions replaced":      {bound(), (&life{}).add(5, unbound).add(12, unsaid()), nil, persisted},
		"on a node from the beginning":           {bound(), (&life{}).add(5, unsaid()), nil, notPersisted},
		"on one, as its kubelet says":            {bound(), (&life{}).add(5, onNode("n1", 0)).add(60, onNode("n1", 0)), nil, notPersisted},
		"on one, and nobody can tell":            {bound(), &life{compacted: 60, from: []uint64{60}, was: []*footprint{onNode("n1", -time.Second)}}, nil, contested},
		"another pod":                            {bound(), (&life{}).add(5, another), nil, notPersisted},
		"kept locally, and made":                 {kept, (&life{}).add(5, gone).add(8, unbound).add(12, onNode("n1", 0)).add(70, gone), nil, persisted},
		"kept locally, and made, and gone":       {kept, (&life{}).add(5, unbound).add(12, onNode("n1", 0)).add(14, gone), nil, persisted},
		"kept locally, and bound before":         {kept, (&life{}).add(5, unbound).add(8, onNode("n1", -5*time.Second)).add(70, gone), nil, notPersisted},
		"kept locally, and there for a moment":   {kept, (&life{}).add(5, gone).add(8, unbound).add(12, onNode("n1", 0)).add(14, gone), nil, goneSince},
		"kept locally, of what had a node":       {kept, (&life{}).add(5, gone).add(8, unsaid()).add(70, gone), &later, notPersisted},
		"kept locally, of what got a node":       {kept, (&life{}).add(5, gone).add(7, unbound).add(8, unsaid()).add(70, gone), &later, overwritten},
		"kept locally, of a name that had one":   {keptNameless, (&life{}).add(5, gone).add(8, unsaid()).add(70, gone), &before, notPersisted},
		"kept locally, of a name, and none yet":  {keptNameless, (&life{}).add(5, gone).add(8, unsaid()).add(70, gone), &later, overwritten},
		"no pod":                                 {nameless, (&life{}).add(5, gone), nil, notPersisted},
		"no pod yet":                             {nameless, (&life{}).add(5, gone).add(70, anew), nil, notPersisted},
		"made, and gone":                         {bound(), (&life{}).add(5, unbound).add(12, onNode("n1", 0)).add(70, gone), nil, persisted},
		"refused, and gone":                      {bound(), (&life{}).add(5, unbound).add(70, gone), nil, notPersisted},
		"refused, and gone at once":              {bound(), (&life{}).add(5, unbound).add(12, gone), nil, notPersisted},
		"made, and gone at once":                 {nameless, (&life{}).add(5, unbound).add(12, onNode("n1", 0)).add(14, gone), nil, persisted},
		"gone at once, and made anew":            {nameless, (&life{}).add(5, unbound).add(12, gone).add(14, another), nil, notPersisted},
		"going already, and gone":                {bound(), (&life{}).add(5, valued("1", going(30))).add(70, gone), nil, notPersisted},
		"compacted, and gone":                    {bound(), &life{compacted: 60, from: []uint64{5, 70}, was: []*footprint{unbound, nil}}, nil, goneSince},
		"compacted, and as it was":               {kept, &life{compacted: 60, from: []uint64{5}, was: (&life{}).add(5, unsaid()).was}, nil, notPersisted},
		"compacted, and written since":           {kept, &life{compacted: 60, from: []uint64{7}, was: (&life{}).add(7, unsaid()).was}, nil, overwritten},
		"compacted, and as it was much later":    {bound(), &life{compacted: 60, from: []uint64{5, 70}, was: []*footprint{unbound, nil}}, &seenLater, notPersisted},
		"compacted, and as it was soon":          {bound(), &life{compacted: 60, from: []uint64{5, 70}, was: []*footprint{unbound, nil}}, &seenSoon, goneSince},
		"compacted, as its name was much later":  {nameless, &life{compacted: 60, from: []uint64{5, 70}, was: []*footprint{unbound, nil}}, &seenLater, notPersisted},
		"of two that came at the same time":      {bound(), (&life{}).add(5, unbound).add(12, onNode("n1", 0)), &rival, contested},
		"of two, and bound when it was recorded": {rival, (&life{}).add(5, unbound).add(11, onNode("n1", 0)), ptr.To(bound()), notPersisted},
		"and the other came later":               {bound(), (&life{}).add(5, unbound).add(12, onNode("n1", 0)), &far, persisted},
		"before the other was made":              {bound(), (&life{}).add(5, unbound).add(16, onNode("n1", time.Second)), &far, notPersisted},
		"and the other was refused":              {bound(), (&life{}).add(5, unbound).add(12, onNode("n1", 0)), &refused, persisted},
	} {
		t.Run(name, func(t *testing.T) {
			now, _, err := test.life.at(0)
			NewWithT(t).Expect(err).NotTo(HaveOccurred())
			j, clock := newJudge(&fakeObjects{cached: now, consistent: now, past: test.life.at})
			clock.SetTime(eventTime.Add(time.Minute))
			known := []recorded.Event{*others.Event, *updated("40", "1", "2").ofPod("u1").at(41).after(time.Minute).Event}
			if test.rival != nil {
				known = append(known, *test.rival.Event)
			}
			NewWithT(t).Expect(judgeAll(t.Context(), j, []recorded.Event{*test.event.Event}, known)).To(HaveExactElements(test.want))
		})
	}
}

// TestABindingThatMayHaveBeenKept: somebody else bound the pod to the same node while a slow webhook may have kept the first request.
func TestABindingThatMayHaveBeenKept(t *testing.T) {
	for name, test := range map[string]struct {
		rivals []recorded.Event
		// slow and fast are the judgements when webhooks were seen to be slow, and when they were not.
		slow, fast ledger.Judgement
	}{
		"by one":     {nil, persisted, overwritten},
		"of two":     {[]recorded.Event{*bound().byBob().at(15).after(9 * time.Second).Event}, contested, notPersisted},
		"of two far": {[]recorded.Event{*bound().byBob().at(60).after(time.Minute).Event}, persisted, overwritten},
	} {
		life := (&life{}).add(5, onNode("", 0)).add(16, onNode("n1", 9*time.Second))
		now, _, err := life.at(0)
		g := NewWithT(t)
		g.Expect(err).NotTo(HaveOccurred())
		j := askedOthers(&fakeObjects{cached: now, consistent: now, past: life.at})
		known := append([]recorded.Event{
			*updated("44", "1", "2").ofPod("u3").at(14).after(5 * time.Second).Event, *updated("45", "1", "2").ofPod("u3").at(50).after(30 * time.Second).Event,
		}, test.rivals...)
		g.Expect(judgeAll(t.Context(), j, []recorded.Event{*bound().Event}, known)).To(HaveExactElements(test.fast), name)
		j.SlowWebhooks.note(eventTime)
		g.Expect(judgeAll(t.Context(), j, []recorded.Event{*bound().Event}, known)).To(HaveExactElements(test.slow), name)
	}
}

// TestABindingOfAPodThatCountsApart, as it does where pods are kept in another etcd: its versions are not compared with those of events.
func TestABindingOfAPodThatCountsApart(t *testing.T) {
	untouched := onNode("n1", 0)
	untouched.Body = []byte(`{"spec":{"nodeName":"n1"}}`)
	past := (&life{}).add(5, untouched)
	now, _, err := past.at(0)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	j, _ := newJudge(&fakeObjects{cached: now, consistent: now, past: past.at, apart: errTrackLost})
	NewWithT(t).Expect(judgeAll(t.Context(), j, []recorded.Event{*bound().Event}, nil)).To(HaveExactElements(overwritten))
}
