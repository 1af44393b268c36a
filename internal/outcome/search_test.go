package outcome

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// TestWhatEtcdKnowsOfAStall: what waited may have been made long after it was admitted.
func TestWhatEtcdKnowsOfAStall(t *testing.T) {
	creation, eviction := created().ofPod("u1").at(10), evicted().ofPod("u2").on("3").after(-5*time.Millisecond).at(11)
	later := named(updated("9", "1", "2").ofPod("u3").after(2*unversioned).at(15), "other")
	past := (&life{}).add(5, nil).add(20, valued("1")).add(21, nil)
	for stalled, want := range map[time.Duration]ledger.Judgement{0: notPersisted, 500 * time.Millisecond: notPersisted, 3 * unversioned: persisted} {
		j, _ := newJudge(&fakeObjects{past: past.at, appears: func(uint64) (bool, error) { return false, objects.ErrForgotten }})
		j.StalledUntil = func(moment time.Time) time.Time { return moment.Add(stalled) }
		got := judgeAll(t.Context(), j, []recorded.Event{*creation.Event}, []recorded.Event{*eviction.Event, *later.Event})
		NewWithT(t).Expect(got).To(HaveExactElements(want), "stalled for %s", stalled)
	}
}

// TestWhatEtcdKnows: an API server that has just started remembers nothing, but shows what had the name at each revision.
func TestWhatEtcdKnows(t *testing.T) {
	another := func() *footprint { return valued("1", func(m *objects.Meta) { m.UID = types.UID("u2") }) }
	its := func() *footprint { return valued("1") }
	for name, test := range map[string]struct {
		past *life
		// later is the revision of an event that was made well after the creation.
		later uint64
		// end is the present revision; far away when 0.
		end  uint64
		want ledger.Judgement
	}{
		"another one had the name for long after it": {(&life{}).add(5, another()).add(200, nil), 190, 0, notPersisted},
		"another one has it still":                   {(&life{}).add(5, another()), 0, 0, notPersisted},
		"nobody had it":                              {(&life{}).add(5, another()).add(12, nil), 15, 0, notPersisted},
		"nobody had it up to the present":            {(&life{}).add(5, nil).add(30, nil), 0, 40, notPersisted},
		"it had the name for a moment":               {(&life{}).add(5, another()).add(12, nil).add(13, its()).add(14, nil), 30, 0, persisted},
		"it was there when the event was stored":     {(&life{}).add(5, its()).add(14, nil), 30, 0, persisted},
		"another one took the name later":            {(&life{}).add(5, nil).add(20, another()).add(40, nil), 15, 0, notPersisted},
		"too many revisions":                         {(&life{}).add(5, nil).add(5000, nil), 0, 0, goneSince},
		"compacted":                                  {(&life{compacted: 11}).add(5, another()).add(200, nil), 190, 0, goneSince},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			creation, eviction := created().ofPod("u1"), evicted().ofPod("u2").on("3").after(-5*time.Millisecond)
			creation.ResourceVersion, eviction.ResourceVersion = 10, 11
			others := []recorded.Event{*eviction.Event}
			if test.later != 0 {
				later := updated("9", "1", "2").ofPod("u3").after(2 * unversioned)
				later.ResourceVersion = test.later
				others = append(others, *named(later, "other").Event)
			}
			past := func(revision uint64) (objects.Sight, uint64, error) {
				if revision == 0 {
					revision = test.end
				}
				return test.past.at(revision)
			}
			j, _ := newJudge(&fakeObjects{past: past, appears: func(uint64) (bool, error) { return false, objects.ErrForgotten }})
			g.Expect(judgeAll(t.Context(), j, []recorded.Event{*creation.Event}, others)).To(HaveExactElements(test.want))
		})
	}
}

// TestOneListLooksForAllNames of a place at a revision, if it does not show far more than that.
func TestOneListLooksForAllNames(t *testing.T) {
	made := (&life{}).add(5, nil).add(12, valued("1")).add(13, nil)
	never := (&life{}).add(5, nil).add(14, another())
	for name, test := range map[string]struct {
		complete bool
		expired  bool
		want     []ledger.Judgement
		singles  bool
	}{
		"one list":       {true, false, []ledger.Judgement{persisted, notPersisted}, false},
		"too long":       {false, false, []ledger.Judgement{persisted, notPersisted}, true},
		"long forgotten": {true, true, []ledger.Judgement{goneSince, goneSince}, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			lives := map[string]*life{"a": made, "b": never}
			looks := &atomic.Int64{}
			fake := &fakePlace{fakeObjects: fakeObjects{pasts: lives, complete: test.complete, appears: func(uint64) (bool, error) { return false, objects.ErrForgotten }}, looks: looks}
			if test.expired {
				fake.pasts = map[string]*life{"a": {compacted: 1000, from: []uint64{5}, was: []*footprint{nil}}}
			}
			j, _ := newJudge(fake)
			one, two := named(created().ofPod("u1").at(10), "a"), named(created().ofPod("u3").at(10), "b")
			eviction := func(name string) recorded.Event {
				return *named(evicted().ofPod("u9").on("3").after(-5*time.Millisecond).at(9), name).Event
			}
			later := named(updated("9", "1", "2").ofPod("u4").after(2*unversioned).at(30), "other")
			got := judgeAll(t.Context(), j, []recorded.Event{*one.Event, *two.Event}, []recorded.Event{eviction("a"), eviction("b"), *later.Event})
			g.Expect(got).To(Equal(test.want))
			g.Expect(looks.Load() > 0).To(Equal(test.singles))
			g.Expect(fake.surveys).To(BeNumerically(">", 0))
		})
	}
}

// TestAnEventsOwnRevisionIsNotLookedAt: only the event was stored at it.
func TestAnEventsOwnRevisionIsNotLookedAt(t *testing.T) {
	s := &searcher{known: revisions{{number: 11}, {number: 12}, {number: 14}}}
	NewWithT(t).Expect([]uint64{s.next(9), s.next(10), s.next(12), s.next(20)}).To(Equal([]uint64{10, 13, 13, 21}))
}

// fakePlace is a place whose objects have names, and counts how often one of them is looked at as it was.
type fakePlace struct {
	fakeObjects
	looks *atomic.Int64
}

func (f *fakePlace) At(_ context.Context, ref *v1alpha1.ResourceReference, revision uint64) (objects.Sight, uint64, error) {
	life := f.pasts[ref.Name]
	if revision == 0 || life == nil {
		return objects.Sight{}, 1000, nil
	}
	if revision < 14 {
		f.looks.Add(1)
	}
	return life.at(revision)
}
