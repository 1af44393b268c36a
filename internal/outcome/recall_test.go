package outcome

import (
	"context"
	"fmt"
	"net/url"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// TestACreationThatNobodyCanSee: an eviction may have met the pod, which is gone. The API server remembers whether it was there.
func TestACreationThatNobodyCanSee(t *testing.T) {
	answer := func(appeared bool, err error) func(uint64) (bool, error) {
		return func(uint64) (bool, error) { return appeared, err }
	}
	another := func() attempt { return evicted().ofPod("u2").on("3").after(-5 * time.Millisecond) }
	none := evicted().ofPod("").on(v1alpha1.NoVersion).after(5 * time.Millisecond)
	for name, test := range map[string]struct {
		creation, eviction attempt
		appears            func(uint64) (bool, error)
		old                time.Duration
		want               ledger.Judgement
	}{
		"it was there":                  {created().ofPod("u1"), another(), answer(true, nil), 0, persisted},
		"it never was":                  {created().ofPod("u1"), another(), answer(false, nil), 0, notPersisted},
		"nobody can tell":               {created().ofPod("u1"), another(), answer(false, objects.ErrForgotten), 0, goneSince},
		"the eviction found none":       {created().ofPod("u1"), none, answer(true, nil), 0, persisted},
		"too long ago":                  {created().ofPod("u1"), another(), nil, remembered, goneSince},
		"it was stored too late":        {created().ofPod("u1").late(), another(), nil, 0, goneSince},
		"somebody has explained it":     {created().ofPod("u1").moved(), another(), nil, 0, goneSince},
		"an eviction that is not known": {created().ofPod("u1"), another().after(-time.Minute), answer(true, nil), 0, persisted},
		"the eviction was long ago":     {created().ofPod("u1"), another().after(-time.Minute), answer(false, objects.ErrForgotten), 0, notPersisted},
		"the eviction was of others":    {created().ofPod("u1"), named(another(), "other"), answer(false, objects.ErrForgotten), 0, notPersisted},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			test.creation.ResourceVersion, test.eviction.ResourceVersion = 10, 11
			var asked []uint64
			fake := &fakeObjects{}
			fake.appears = func(since uint64) (bool, error) {
				asked = append(asked, since)
				g.Expect(test.appears).NotTo(BeNil(), "nobody should be asked")
				return test.appears(since)
			}
			j, clock := newJudge(fake)
			clock.SetTime(clock.Now().Add(test.old))
			got := judgeAll(t.Context(), j, []recorded.Event{*test.creation.Event}, []recorded.Event{*test.eviction.Event})
			g.Expect(got).To(HaveExactElements(test.want))
			if test.appears != nil {
				g.Expect(asked).To(HaveExactElements(uint64(10)), "from when the event was stored")
			}
		})
	}
}

// TestAnEvictionMayHaveMetACreationThatIsGone: it found no pod, and nothing else tells why one is gone that was created a moment later.
func TestAnEvictionMayHaveMetACreationThatIsGone(t *testing.T) {
	for name, test := range map[string]struct {
		apart    time.Duration
		appeared bool
		want     []ledger.Judgement
	}{
		"it was there":       {60 * time.Millisecond, true, []ledger.Judgement{goneSince, persisted}},
		"it was never there": {60 * time.Millisecond, false, []ledger.Judgement{notPersisted, notPersisted}},
		"it came too late":   {2 * evictingLater, true, []ledger.Judgement{notPersisted, persisted}},
	} {
		t.Run(name, func(t *testing.T) {
			eviction, creation := evicted().ofPod("").on(v1alpha1.NoVersion).at(11), created().ofPod("u1").after(test.apart).at(12)
			creation.Head.Resource.Resource = "pods"
			j, _ := newJudge(&fakeObjects{appears: func(uint64) (bool, error) { return test.appeared, nil }})
			j.DeletesAreRecorded = func(*v1alpha1.ResourceReference) bool { return false }
			got := judgeAll(t.Context(), j, []recorded.Event{*eviction.Event, *creation.Event}, nil)
			NewWithT(t).Expect(got).To(Equal(test.want))
		})
	}
}

// TestALateCreationIsRecalled from before it was admitted: it was stored after its object.
func TestALateCreationIsRecalled(t *testing.T) {
	g := NewWithT(t)
	creation, eviction := created().ofPod("u1").late(), evicted().ofPod("u2").on("3").after(-5*time.Millisecond)
	creation.ResourceVersion, creation.After, eviction.ResourceVersion = 10, 6, 11
	var asked []uint64
	j, _ := newJudge(&fakeObjects{appears: func(since uint64) (bool, error) {
		asked = append(asked, since)
		return false, nil
	}})
	g.Expect(judgeAll(t.Context(), j, []recorded.Event{*creation.Event}, []recorded.Event{*eviction.Event})).To(HaveExactElements(notPersisted))
	g.Expect(asked).To(HaveExactElements(uint64(6)))
}

// TestAnOverdueCreation was stored when the deletion of its object was judged, and forgotten: that nothing is known of the object then
// does not speak against it.
func TestAnOverdueCreation(t *testing.T) {
	for forgotten, want := range map[time.Duration]ledger.Judgement{-time.Second: notPersisted, time.Second: persisted} {
		creation := created().at(12).late()
		creation.After = 6
		j, _ := newJudge(&fakeObjects{appears: func(uint64) (bool, error) { return true, nil }})
		j.Forgotten = func() time.Time { return creation.Head.Time.Add(forgotten) }
		NewWithT(t).Expect(judgeAll(t.Context(), j, []recorded.Event{*creation.Event}, nil)).To(HaveExactElements(want), "%s", forgotten)
	}
}

// TestAnEvictionOfWhatNeverWas: it found no pod, and the one that was being created was refused.
func TestAnEvictionOfWhatNeverWas(t *testing.T) {
	eviction := evicted().ofPod("").on(v1alpha1.NoVersion).after(5 * time.Millisecond)
	events := []recorded.Event{*created().ofPod("u1").at(10).Event, *eviction.at(11).Event}
	for appeared, want := range map[bool][]ledger.Judgement{
		false: {notPersisted, notPersisted},
		true:  {persisted, goneSince},
	} {
		j, _ := newJudge(&fakeObjects{appears: func(uint64) (bool, error) { return appeared, nil }})
		NewWithT(t).Expect(judgeAll(t.Context(), j, events, nil)).To(Equal(want))
	}
}

// TestOnlySoManyPlacesAreAsked at once, and each of them once.
func TestOnlySoManyPlacesAreAsked(t *testing.T) {
	g := NewWithT(t)
	events := make([]recorded.Event, 0, 4*maxQuestions)
	for i := range 2 * maxQuestions {
		for range 2 {
			event := created().ofPod("u1").at(10)
			event.Head.Resource.Namespace = fmt.Sprint(i)
			events = append(events, *event.Event)
		}
	}
	asked := make(chan struct{}, len(events))
	j, _ := newJudge(&fakeObjects{appears: func(uint64) (bool, error) {
		asked <- struct{}{}
		return true, nil
	}})
	j.DeletesAreRecorded = func(*v1alpha1.ResourceReference) bool { return false }
	judgeAll(t.Context(), j, events, nil)
	g.Expect(asked).To(HaveLen(maxQuestions))
}

// TestOldCreationsAreLookedForOneByOne: what happened to all others since is too much to read.
func TestOldCreationsAreLookedForOneByOne(t *testing.T) {
	for old, want := range map[time.Duration]int{0: 1, 2 * lately: 3} {
		var events []recorded.Event
		for _, name := range []string{"a", "a", "b", "c"} {
			events = append(events, *named(created().ofPod("u1").at(10), name).Event)
		}
		asked := make(chan struct{}, len(events))
		j, clock := newJudge(&fakeObjects{appears: func(uint64) (bool, error) {
			asked <- struct{}{}
			return true, nil
		}})
		clock.SetTime(clock.Now().Add(old))
		j.DeletesAreRecorded = func(*v1alpha1.ResourceReference) bool { return false }
		judgeAll(t.Context(), j, events, nil)
		NewWithT(t).Expect(asked).To(HaveLen(want), "%s", old)
	}
}

// TestWhatATrailThatIsBehindStillKnows: what only a read speaks against is left open, unless the API server remembers, or somebody
// else had the name all the time.
func TestWhatATrailThatIsBehindStillKnows(t *testing.T) {
	holder := seen("u9", "5")
	holder.Meta.CreationTimestamp = metav1.NewTime(eventTime.Add(-time.Minute))
	younger := seen("u9", "9")
	younger.Meta.CreationTimestamp = metav1.NewTime(eventTime)
	for name, test := range map[string]struct {
		seen objects.Sight
		asks bool
		open bool
	}{
		"nothing is there":           {objects.Sight{}, true, false},
		"the name was taken":         {holder, false, false},
		"the name was taken since":   {younger, true, false},
		"nothing, and no memory":     {objects.Sight{}, false, true},
		"taken since, and no memory": {younger, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			asked := false
			fake := &fakeObjects{consistent: test.seen}
			if test.asks {
				fake.appears = func(uint64) (bool, error) {
					asked = true
					return false, nil
				}
			}
			j, _ := newJudge(fake)
			events := []recorded.Event{*created().ofPod("u1").at(10).Event}
			verdicts, err := j.All(t.Context(), events, nil, false)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(j.Recall(t.Context(), events, nil, verdicts, true)).To(Succeed())
			g.Expect(verdicts[0].Judgement).To(Equal(notPersisted))
			g.Expect(asked).To(Equal(test.asks))
			g.Expect(verdicts[0].IsOnlyRead(&events[0])).To(Equal(test.open))
		})
	}
}

// TestRecallConcludesNothingFromAnAPIServerThatIsAway: it is asked again, but not when an answer takes too long.
func TestRecallConcludesNothingFromAnAPIServerThatIsAway(t *testing.T) {
	for err, fails := range map[error]bool{&url.Error{Err: syscall.ECONNREFUSED}: true, &url.Error{Err: context.DeadlineExceeded}: false} {
		j, _ := newJudge(&fakeObjects{appears: func(uint64) (bool, error) { return false, err }})
		events := []recorded.Event{*created().ofPod("u1").at(10).Event}
		verdicts, judging := j.All(t.Context(), events, nil, false)
		NewWithT(t).Expect(judging).NotTo(HaveOccurred())
		NewWithT(t).Expect(j.Recall(t.Context(), events, nil, verdicts, true) != nil).To(Equal(fails), "%v", err)
	}
}

func named(a attempt, name string) attempt {
	a.Head.Resource.Name = name
	return a
}
