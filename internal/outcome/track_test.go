package outcome

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// life is what an object was from each revision on; nil when it was not there. The last revision is the present.
type life struct {
	from      []uint64
	was       []*footprint
	compacted uint64
}

// Add lets the object be something from a revision on.
func (l *life) add(revision uint64, was *footprint) *life {
	if was != nil {
		was.number, was.Meta.ResourceVersion, was.Exists = revision, apijson.FormatVersion(revision), true
	}
	l.from, l.was = append(l.from, revision), append(l.was, was)
	return l
}

// At answers as the API server does.
func (l *life) at(revision uint64) (objects.Sight, uint64, error) {
	if revision == 0 {
		revision = l.from[len(l.from)-1] + 1000
	}
	if revision < l.compacted {
		return objects.Sight{}, 0, apierrors.NewResourceExpired("compacted")
	}
	var now *footprint
	for i := range l.from {
		if l.from[i] <= revision {
			now = l.was[i]
		}
	}
	if now == nil {
		return objects.Sight{}, revision, nil
	}
	return now.Sight, revision, nil
}

// valued is a version of the object u1 with a value, with what else is true of it.
func valued(value string, change ...func(*objects.Meta)) *footprint {
	f := &footprint{Sight: seen("u1", "")}
	f.Body = fmt.Appendf(nil, `{"data":{"a":%q}}`, value)
	for _, c := range change {
		c(&f.Meta)
	}
	return f
}

// going is a version whose deletion was asked for, with a grace in seconds.
func going(grace int64) func(*objects.Meta) {
	return func(m *objects.Meta) {
		m.DeletionGracePeriodSeconds = ptr.To(grace)
		m.DeletionTimestamp = &metav1.Time{Time: eventTime.Add(time.Duration(grace) * time.Second)}
	}
}

// writtenAt says when somebody wrote a field last.
func writtenAt(after time.Duration) func(*objects.Meta) {
	return func(m *objects.Meta) { m.Written = eventTime.Add(after) }
}

func keptBy(finalizers ...string) func(*objects.Meta) {
	return func(m *objects.Meta) { m.Finalizers = finalizers }
}

func another() *footprint {
	f := valued("9")
	f.Meta.UID = "u2"
	return f
}

func TestFollow(t *testing.T) {
	tests := map[string]struct {
		life    *life
		want    []uint64
		removed uint64
	}{
		"it is what it was":   {(&life{}).add(7, valued("1")), []uint64{7}, 0},
		"it was changed":      {(&life{}).add(5, valued("0")).add(7, valued("1")).add(9, valued("2")).add(80, valued("3")), []uint64{7, 9, 80}, 0},
		"it was removed":      {(&life{}).add(7, valued("1")).add(9, valued("2")).add(2000, nil), []uint64{7, 9}, 2000},
		"it was made anew":    {(&life{}).add(7, valued("1")).add(300, nil).add(301, another()), []uint64{7}, 300},
		"of another history":  {(&life{}).add(6, valued("1")), nil, 0},
		"it is not there yet": {(&life{}).add(9, nil), nil, 0},
		"it is too long ago":  {&life{compacted: 8, from: []uint64{7, 9}, was: []*footprint{nil, valued("2")}}, nil, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			found, err := follow(t.Context(), &fakeObjects{past: test.life.at}, &head(v1alpha1.ActionUpdate, "u1").Resource, 7, roomy())
			if test.want == nil {
				g.Expect(err).To(HaveOccurred())
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			var numbers []uint64
			for i := range found.steps {
				numbers = append(numbers, found.steps[i].number)
			}
			g.Expect(numbers).To(Equal(test.want))
			g.Expect(found.removed).To(Equal(test.removed))
		})
	}
}

func roomy() *atomic.Int64 {
	room := &atomic.Int64{}
	room.Store(maxTracks)
	return room
}

// TestFollowIsBounded in reads and in memory.
func TestFollowIsBounded(t *testing.T) {
	g := NewWithT(t)
	busy := &life{}
	for i := range uint64(maxLooks + 10) {
		busy.add(7+i, valued("1"))
	}
	ref := &head(v1alpha1.ActionUpdate, "u1").Resource
	_, err := follow(t.Context(), &fakeObjects{past: busy.at}, ref, 7, roomy())
	g.Expect(err).To(MatchError(errTrackLost))
	_, err = follow(t.Context(), &fakeObjects{past: (&life{}).add(7, valued("1")).at}, ref, 7, &atomic.Int64{})
	g.Expect(err).To(MatchError(errTrackLost))
}

// followed is what is known of an object whose versions from 7 on can be read, and whose every change was recorded.
func followed(t *testing.T, life *life, events ...*recorded.Event) *history {
	t.Helper()
	found, err := follow(t.Context(), &fakeObjects{past: life.at}, &events[0].Head.Resource, 7, roomy())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	known := newHistory(testDigester, events)
	known.track = found
	return known.with(found.now(), "u1", true)
}

// TestASecondDeletionIsTriedAgain on what the first one marked, and the kubelet ends the pod before its grace is over.
func TestASecondDeletionIsTriedAgain(t *testing.T) {
	ended := (&life{}).add(7, valued("1")).add(9, valued("1", going(30))).add(20, nil)
	shortened := (&life{}).add(7, valued("1")).add(9, valued("1", going(30))).add(15, valued("1", going(0))).add(20, nil)
	again := func() attempt {
		return deleted("9", "1").deleting(30 * time.Second).at(12).byBob().after(300 * time.Millisecond)
	}
	for name, test := range map[string]struct {
		life  *life
		first attempt
		want  fate
	}{
		"the same request":              {ended, deleted("7", "1").at(10).byBob(), unsure},
		"somebody else's":               {ended, deleted("7", "1").at(8), made},
		"of a long time ago":            {ended, deleted("7", "1").at(8).byBob().after(-time.Minute), made},
		"the same request, marked anew": {shortened, deleted("7", "1").at(10).byBob(), unsure},
		"somebody else's, marked anew":  {shortened, deleted("7", "1").at(8), made},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			second := again()
			g.Expect(followed(t, test.life, test.first.Event, second.Event).fate(second.Event)).To(Equal(test.want))
		})
	}
}

// TestADeletionThatIsAskedForOtherwise is no second half of one before it, although the same user asked for that.
func TestADeletionThatIsAskedForOtherwise(t *testing.T) {
	ended := (&life{}).add(7, valued("1")).add(9, valued("1", going(0))).add(20, nil)
	for name, test := range map[string]struct {
		grace *int64
		want  fate
	}{
		"without grace, too":         {ptr.To[int64](0), notMade},
		"and does not say how":       {nil, unsure},
		"with grace, which has gone": {ptr.To[int64](5), unsure},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := deleted("7", "1").at(8), deleted("9", "1").deleting(0).at(12).after(time.Second)
			first.Head.Request.GracePeriodSeconds, second.Head.Request.GracePeriodSeconds = ptr.To[int64](0), test.grace
			known := followed(t, ended, first.ofKind("pods").Event, second.ofKind("pods").Event)
			NewWithT(t).Expect(known.fate(second.Event)).To(Equal(test.want))
		})
	}
}

// TestADeletionLongAfterTheMarkIsAnother, although the same user asked for it in the same way.
func TestADeletionLongAfterTheMarkIsAnother(t *testing.T) {
	ended := (&life{}).add(7, valued("1")).add(9, valued("1", going(0))).add(20, nil)
	for pause, want := range map[time.Duration]fate{100 * time.Millisecond: notMade, 1500 * time.Millisecond: unsure} {
		first, elsewhere, second := deleted("7", "1").at(8), updated("3", "1", "2").ofPod("u2").after(40*time.Millisecond).at(10), deleted("9", "1").deleting(0).at(12).after(pause)
		known := followed(t, ended, first.ofKind("pods").Event, second.ofKind("pods").Event)
		known.revisions = newRevisions([]*recorded.Event{first.Event, elsewhere.Event, second.Event})
		NewWithT(t).Expect(known.fate(second.Event)).To(Equal(want), "%s", pause)
	}
}

// TestASecondDeletionChangesTheFirst: two ask at once for the deletion of what has dependents, and for something else to become of
// them. When those are to be left alone, that may end the object.
func TestASecondDeletionChangesTheFirst(t *testing.T) {
	marked := func() *life {
		return (&life{}).add(7, valued("1")).add(12, valued("1", going(0), keptBy("foregroundDeletion")))
	}
	for name, test := range map[string]struct {
		life *life
		want fate
	}{
		"to be orphaned":   {marked().add(16, valued("1", going(0), keptBy("orphan"))).add(20, nil), made},
		"to be left alone": {marked().add(16, nil), unsure},
	} {
		for _, apart := range []time.Duration{20 * time.Millisecond, 60 * time.Millisecond} {
			t.Run(fmt.Sprint(name, ", ", apart), func(t *testing.T) {
				g := NewWithT(t)
				tried, won := deleted("7", "1").at(8).byBob(), deleted("7", "1").at(10).after(apart)
				again := deleted("12", "1").deleting(0).at(14).byBob().after(170 * time.Millisecond)
				known := followed(t, test.life, tried.Event, won.Event, again.Event)
				g.Expect(known.fate(tried.Event)).To(Equal(notMade), "it was tried again")
				g.Expect(known.fate(won.Event)).To(Equal(made))
				g.Expect(known.fate(again.Event)).To(Equal(test.want))
			})
		}
	}
}

// TestALateDeletionMayEndIt: two ask for the deletion of what is kept for its dependents, the second one not to keep it.
func TestALateDeletionMayEndIt(t *testing.T) {
	held := func() *life {
		return (&life{}).add(7, valued("1")).add(9, valued("1", going(0), keptBy("orphan"))).add(20, nil)
	}
	bare := (&life{}).add(7, valued("1")).add(9, valued("1", going(0))).add(20, nil)
	there := (&life{}).add(7, valued("1")).add(9, valued("1", going(0), keptBy("orphan")))
	first := func() attempt { return deleted("7", "1").at(8) }
	for name, test := range map[string]struct {
		life   *life
		second attempt
		later  attempt
		want   fate
	}{
		"nothing else ended it": {held(), deleted("7", "1").at(10).byBob(), completed("9").at(22), unsure},
		"its finalizer went":    {held(), deleted("7", "1").at(10).byBob(), completed("9").at(11), notMade},
		"it was gone by then":   {held(), deleted("7", "1").at(21).byBob(), completed("9").at(22), notMade},
		"nothing held it":       {bare, deleted("7", "1").at(10).byBob(), completed("9").at(22), notMade},
		"it is there":           {there, deleted("7", "1").at(10).byBob(), updated("9", "1", "2").at(11), notMade},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			one := first()
			events := []*recorded.Event{one.Event, test.second.Event, test.later.Event}
			known := followed(t, test.life, events...)
			g.Expect(known.fate(one.Event)).To(Equal(made))
			g.Expect(known.fate(test.second.Event)).To(Equal(test.want))
		})
	}
}

// TestARetriedDeletionDidNotEndIt: its last try may have.
func TestARetriedDeletionDidNotEndIt(t *testing.T) {
	for after, want := range map[time.Duration]fate{100 * time.Millisecond: notMade, secondHalf: notMade, secondHalf + time.Second: unsure} {
		g := NewWithT(t)
		held := (&life{}).add(7, valued("1")).add(9, valued("2")).add(15, valued("2", going(0), keptBy("orphan"))).add(20, nil)
		update, first := updated("7", "1", "2").at(8), deleted("7", "1").at(10)
		again := deleted("9", "2").at(12).after(after)
		known := followed(t, held, update.Event, first.Event, again.Event)
		g.Expect(known.fate(first.Event)).To(Equal(want), after.String())
	}
}

func (a attempt) asking(policy metav1.DeletionPropagation) attempt {
	a.Head.Request.PropagationPolicy = policy
	return a
}

func (a attempt) ofKind(resource string) attempt {
	a.Head.Resource.Resource = resource
	return a
}

// TestWhatADeletionAsksForTellsWhoseItWas: two ask for the deletion of one version, and for different things to become of dependents.
func TestWhatADeletionAsksForTellsWhoseItWas(t *testing.T) {
	const none, background, foreground, orphan = "", metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan
	removed := (&life{}).add(7, valued("1")).add(20, nil)
	marked := func(finalizers ...string) *life {
		return (&life{}).add(7, valued("1", keptBy("a"))).add(20, valued("1", going(0), keptBy(append(finalizers, "a")...)))
	}
	for name, test := range map[string]struct {
		life     *life
		one, two metav1.DeletionPropagation
		kind     string
		// later is how much later than 50 ms after the first one the second one comes.
		later time.Duration
		want  []fate
	}{
		"removed at once":              {removed, none, foreground, "configmaps", 0, []fate{made, notMade}},
		"removed, not to be orphaned":  {removed, orphan, background, "configmaps", 0, []fate{notMade, made}},
		"removed, both would":          {removed, none, background, "configmaps", 0, []fate{contest, contest}},
		"removed, neither would":       {removed, orphan, foreground, "configmaps", 0, []fate{contest, contest}},
		"dependents first":             {marked("foregroundDeletion"), none, foreground, "configmaps", 0, []fate{notMade, made}},
		"orphans":                      {marked("orphan"), orphan, foreground, "configmaps", 0, []fate{made, notMade}},
		"orphans, as some kinds leave": {marked("orphan"), none, background, "configmaps", 0, []fate{made, notMade}},
		"dependents first, and then":   {marked("foregroundDeletion").add(22, nil), none, foreground, "configmaps", 0, []fate{unsure, made}},
		"dependents first, long after": {marked("foregroundDeletion").add(22, nil), none, foreground, "configmaps", 600 * time.Millisecond, []fate{notMade, made}},
		"of a kind that ignores it":    {removed, none, foreground, "events", 0, []fate{contest, contest}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			one := deleted("7", "1").at(10).asking(test.one).ofKind(test.kind)
			two := deleted("7", "1").at(11).byBob().after(50*time.Millisecond + test.later).asking(test.two).ofKind(test.kind)
			known := followed(t, test.life, one.Event, two.Event)
			g.Expect([]fate{known.fate(one.Event), known.fate(two.Event)}).To(Equal(test.want))
		})
	}
}

// TestWhoWaitedMayHaveBeenLast: a request that the API server made wait may be made when a later one of the same is refused.
func TestWhoWaitedMayHaveBeenLast(t *testing.T) {
	for held, want := range map[time.Duration][]fate{0: {notMade, made}, 3 * time.Second: {notMade, made}, 4900 * time.Millisecond: {contest, contest}, time.Minute: {contest, contest}} {
		first, second := updated("7", "1", "2").at(8).held(held), updated("7", "1", "2").at(9).after(5*time.Second)
		fates := func() []fate {
			known := followed(t, (&life{}).add(7, valued("1")).add(12, valued("2")), first.Event, second.Event)
			return []fate{known.fate(first.Event), known.fate(second.Event)}
		}
		NewWithT(t).Expect(fates()).To(Equal([]fate{notMade, made}), "the same user's, held for %s", held)
		second.byBob()
		NewWithT(t).Expect(fates()).To(Equal(want), "held for %s", held)
	}
}

// TestWhoMayHaveWaitedUnseen: where nobody knows whether the API server stored anything, a request may have waited for as long as it lets one.
func TestWhoMayHaveWaitedUnseen(t *testing.T) {
	for apart, want := range map[time.Duration][]fate{5 * time.Second: {contest, contest}, 59 * time.Second: {contest, contest}, 62 * time.Second: {notMade, made}} {
		first, second := updated("7", "1", "2").at(8), updated("7", "1", "2").at(9).after(apart).byBob()
		fates := func() []fate {
			known := followed(t, (&life{}).add(7, valued("1")).add(12, valued("2")), first.Event, second.Event)
			return []fate{known.fate(first.Event), known.fate(second.Event)}
		}
		NewWithT(t).Expect(fates()).To(Equal([]fate{notMade, made}), "%s apart, watched", apart)
		first.Unwatched = true
		NewWithT(t).Expect(fates()).To(Equal(want), "%s apart", apart)
	}
}

// TestWhoWasKeptMayHaveBeenMade: another webhook may have kept one request while a later one of the same was refused.
func TestWhoWasKeptMayHaveBeenMade(t *testing.T) {
	later, both := []fate{notMade, made}, []fate{contest, contest}
	for name, test := range map[string]struct {
		apart, done time.Duration
		// fast and slow are what became of the two while webhooks were not seen to be slow, and while they were.
		fast, slow []fate
	}{
		"done at once after the later one": {2 * time.Second, 2 * time.Second, later, both},
		"done later than that":             {2 * time.Second, 5 * time.Second, both, both},
		"longer after than it may be kept": {13 * time.Second, 13 * time.Second, later, later},
	} {
		first, second := updated("7", "1", "2").at(8), updated("7", "1", "2").at(9).after(test.apart).byBob()
		fates := func(life *life) []fate {
			known := newHistory(testDigester, []*recorded.Event{first.Event, second.Event})
			if life != nil {
				known = followed(t, life, first.Event, second.Event)
			}
			return []fate{known.fate(first.Event), known.fate(second.Event)}
		}
		life := (&life{}).add(7, valued("1")).add(12, valued("2", writtenAt(test.done)))
		g := NewWithT(t)
		if test.done < test.apart+lateFor {
			g.Expect(fates(life)).To(Equal(later), "%s, of the recorder alone", name)
		}
		first, second = first.kept(0), second.kept(0)
		g.Expect(fates(life)).To(Equal(test.fast), "%s, of fast ones", name)
		first, second = first.kept(10*time.Second), second.kept(10*time.Second)
		g.Expect(fates(life)).To(Equal(test.slow), "%s, of slow ones", name)
	}
}

// TestWhoTriesAgainWasRefused, although the API server stored the event of the first try late, when the second one saw the same version.
func TestWhoTriesAgainWasRefused(t *testing.T) {
	first, second := updated("7", "1", "2").at(10), updated("7", "1", "2").at(12).after(2*time.Second)
	first.Straggler, first.Slow = true, time.Second
	known := followed(t, (&life{}).add(7, valued("1")).add(14, valued("2", writtenAt(2*time.Second))), first.Event, second.Event)
	NewWithT(t).Expect([]fate{known.fate(first.Event), known.fate(second.Event)}).To(Equal([]fate{notMade, made}))
}

// TestTheEarlierOneWasNotMadeThatLate: when the object went is known by others' events.
func TestTheEarlierOneWasNotMadeThatLate(t *testing.T) {
	for pause, want := range map[time.Duration][]fate{
		race - 10*time.Millisecond: {contest, contest}, race + 10*time.Millisecond: {notMade, made},
	} {
		before := updated("5", "1", "2").at(6).after(-time.Second)
		first, second := deleted("7", "1").at(8), deleted("7", "1").at(10).byBob().after(300*time.Millisecond)
		elsewhere := updated("3", "1", "2").ofPod("u2").after(pause).at(12)
		known := followed(t, (&life{}).add(7, valued("1")).add(14, nil), first.Event, second.Event, before.Event)
		known.revisions = newRevisions([]*recorded.Event{before.Event, first.Event, second.Event, elsewhere.Event})
		NewWithT(t).Expect([]fate{known.fate(first.Event), known.fate(second.Event)}).To(Equal(want), "%s", pause)
	}
}

// TestWhoWroteAllThatDiffers: an object shows both of two users' updates, and differs in more than one of them wrote.
func TestWhoWroteAllThatDiffers(t *testing.T) {
	g := NewWithT(t)
	was, is := valued("1"), valued("2")
	was.Body = []byte(`{"data":{"a":"1","b":"1"}}`)
	both := updated("7", "1", "2")
	both.Head.Evidence = append(both.Head.Evidence, v1alpha1.Evidence{Path: "/data/b", Was: testDigester.Digest("1")})
	one := elsewhere("7").byBob().after(50 * time.Millisecond)
	one.Head.Evidence = both.Head.Evidence[1:]
	same := updated("7", "1", "2").byBob().after(50 * time.Millisecond)
	same.Head.Evidence = both.Head.Evidence
	life := (&life{}).add(7, was).add(9, is)
	among := func(events ...*recorded.Event) *history { return followed(t, life, events...) }
	g.Expect(among(both.Event, one.Event).fate(both.Event)).To(Equal(made))
	g.Expect(among(both.Event, one.Event).fate(one.Event)).To(Equal(notMade))
	g.Expect(among(both.Event, same.Event).fate(both.Event)).To(Equal(contest))
}

// TestOtherEventsTellWhenAVersionWasWritten: one that removes a field does not say so itself.
func TestOtherEventsTellWhenAVersionWasWritten(t *testing.T) {
	removed := updated("7", "1", "2").at(8)
	others := func(pause time.Duration) []recorded.Event {
		elsewhere := updated("20", "1", "2").ofPod("u2").at(50).after(pause)
		return []recorded.Event{*elsewhere.Event, *updated("60", "2", "3").at(61).after(time.Minute).Event}
	}
	life := (&life{}).add(7, valued("1")).add(60, valued("2")).add(62, valued("3"))
	for pause, want := range map[time.Duration]ledger.Judgement{
		100 * time.Millisecond: persisted, time.Second: overwritten, 20 * time.Second: notPersisted,
	} {
		j, _ := newJudge(&fakeObjects{cached: life.was[2].Sight, consistent: life.was[2].Sight, past: life.at})
		j.NothingMissed = func(*v1alpha1.ResourceReference, time.Time) bool { return false }
		j.Unrecorded = gapAt(eventTime)
		NewWithT(t).Expect(judgeAll(t.Context(), j, []recorded.Event{*removed.Event}, others(pause))).To(HaveExactElements(want), "%s", pause)
	}
}

// TestSlownessProvesNothingWhereSomethingIsMissing: who made it a second later may not be known.
func TestSlownessProvesNothingWhereSomethingIsMissing(t *testing.T) {
	update := updated("7", "1", "2")
	for complete, want := range map[bool]fate{true: made, false: unsure} {
		known := followed(t, (&life{}).add(7, valued("1")).add(9, valued("2", writtenAt(time.Second))), update.Event)
		update.Slow, known.complete = time.Second, complete
		NewWithT(t).Expect(known.fate(update.Event)).To(Equal(want), "complete: %t", complete)
	}
}

// TestOneWhoseRivalsAreForgotten: somebody may have come later in the same second.
func TestOneWhoseRivalsAreForgotten(t *testing.T) {
	deletion := deleted("7", "1").late()
	known := followed(t, (&life{}).add(7, valued("1")).add(9, valued("1", going(0))), deletion.Event)
	known.complete = false
	NewWithT(t).Expect(known.fate(deletion.Event)).To(Equal(made))
	deletion.Overdue = true
	NewWithT(t).Expect(known.fate(deletion.Event)).To(Equal(unsure))
}

// TestOtherEventsTellWhenAnObjectWasRemoved: long after somebody wanted to remove its finalizers, it was somebody else.
func TestOtherEventsTellWhenAnObjectWasRemoved(t *testing.T) {
	removal := completed("7").deleting(0).at(8)
	life := (&life{}).add(7, valued("1", going(0), keptBy("a"))).add(60, nil)
	for pause, want := range map[time.Duration]ledger.Judgement{
		time.Second: persisted, 20 * time.Second: notPersisted, 2 * time.Minute: notPersisted,
	} {
		elsewhere := updated("20", "1", "2").ofPod("u2").at(50).after(pause)
		j, _ := newJudge(&fakeObjects{past: life.at})
		got := judgeAll(t.Context(), j, []recorded.Event{*removal.Event}, []recorded.Event{*updated("5", "1", "2").at(6).after(-time.Second).Event, *elsewhere.Event})
		NewWithT(t).Expect(got).To(HaveExactElements(want), "%s", pause)
		j.StallsKnown = func(time.Time) bool { return false }
		if pause == 20*time.Second {
			want = goneSince // The API server may have stored nothing for so long.
		}
		got = judgeAll(t.Context(), j, []recorded.Event{*removal.Event}, []recorded.Event{*updated("5", "1", "2").at(6).after(-time.Second).Event, *elsewhere.Event})
		NewWithT(t).Expect(got).To(HaveExactElements(want), "%s, and nobody knows", pause)
	}
}

// TestAnUndoneUpdateWasMade: somebody whose change is not recorded wrote back what it had changed, or wrote what it was to change.
func TestAnUndoneUpdateWasMade(t *testing.T) {
	undone := (&life{}).add(7, valued("1")).add(9, valued("2")).add(10, valued("1"))
	refused := (&life{}).add(7, valued("1")).add(9, valued("1", keptBy("other")))
	later := (&life{}).add(7, valued("1")).add(9, valued("2", writtenAt(time.Minute)))
	for name, test := range map[string]struct {
		life   *life
		missed bool
		want   ledger.Judgement
	}{
		"undone":          {undone, false, persisted},
		"refused":         {refused, false, notPersisted},
		"made by another": {later, true, notPersisted},
	} {
		t.Run(name, func(t *testing.T) {
			last := test.life.was[len(test.life.was)-1]
			j, _ := newJudge(&fakeObjects{cached: last.Sight, consistent: last.Sight, past: test.life.at})
			j.NothingMissed = func(*v1alpha1.ResourceReference, time.Time) bool { return !test.missed }
			if test.missed {
				j.Unrecorded = gapAt(eventTime)
			}
			NewWithT(t).Expect(judgeOne(t, j, updated("7", "1", "2").Event)).To(Equal(test.want))
		})
	}
}

// gapAt says that changes may have gone unrecorded from then on.
func gapAt(moment time.Time) func(*v1alpha1.ResourceReference, time.Time) time.Time {
	return func(*v1alpha1.ResourceReference, time.Time) time.Time { return moment }
}

// TestWhatMayHaveBeenDoneUnrecordedProvesNothing: what the object shows later, by itself or in an event, somebody may have done whom nobody
// recorded. What it shows from before that was recorded.
func TestWhatMayHaveBeenDoneUnrecordedProvesNothing(t *testing.T) {
	shown := func(value string, change ...func(*objects.Meta)) objects.Sight {
		was := valued(value, change...)
		was.Meta.ResourceVersion = "20"
		return was.Sight
	}
	next := updated("20", "2", "3").byBob().at(21).after(time.Minute)
	other := updated("20", "1", "3").byBob().at(21).after(time.Second)
	created := attempt{&recorded.Event{Head: *head(v1alpha1.ActionCreate, "u1")}}
	const whenever = time.Hour
	for name, test := range map[string]struct {
		event  attempt
		now    objects.Sight
		others []recorded.Event
		// shown is when the change is known to have been made.
		shown   time.Duration
		open    ledger.Judgement
		settled ledger.Judgement
	}{
		"an update, shown by the object":      {updated("7", "1", "2"), shown("2"), nil, whenever, overwritten, persisted},
		"an update, written at a time":        {updated("7", "1", "2"), shown("2", writtenAt(time.Minute)), nil, time.Minute + time.Second, overwritten, persisted},
		"an update, shown by another's event": {updated("7", "1", "2"), shown("3"), []recorded.Event{*next.Event}, time.Minute, overwritten, persisted},
		"an update, undone, and done again":   {updated("7", "1", "2"), shown("2"), []recorded.Event{*other.Event}, whenever, notPersisted, notPersisted},
		"a deletion":                          {deleted("7", "1"), objects.Sight{}, nil, whenever, goneSince, persisted},
		"a deletion that finalizers hold":     {deleted("7", "1"), shown("1", going(0), keptBy("a")), nil, time.Second, overwritten, persisted},
		"a creation, which has its own uid":   {created, shown("2"), nil, whenever, persisted, persisted},
	} {
		t.Run(name, func(t *testing.T) {
			for gap, want := range map[time.Duration]ledger.Judgement{-time.Second: test.open, test.shown: test.open, test.shown + 1: test.settled} {
				if test.shown == whenever && gap > test.shown {
					continue
				}
				j, _ := newJudge(&fakeObjects{cached: test.now, consistent: test.now})
				j.Unrecorded = gapAt(eventTime.Add(gap))
				NewWithT(t).Expect(judgeAll(t.Context(), j, []recorded.Event{*test.event.Event}, test.others)).To(HaveExactElements(want), "gap after %s", gap)
			}
			j, _ := newJudge(&fakeObjects{cached: test.now, consistent: test.now})
			NewWithT(t).Expect(judgeAll(t.Context(), j, []recorded.Event{*test.event.Event}, test.others)).To(HaveExactElements(test.settled), "no gap")
		})
	}
}

// held says how long the API server stored nothing from then on.
func (a attempt) held(lasted time.Duration) attempt {
	a.HeldUntil = a.Head.Time.Add(lasted)
	return a
}

// kept says that another webhook is asked about it, which may take ten seconds, and for how long such webhooks were seen to keep changes.
func (a attempt) kept(seen time.Duration) attempt {
	a.MayBeKept, a.Kept = 10*time.Second, seen
	return a
}

// seen says when this replica knew the event, after it was made.
func (a attempt) seen(later time.Duration) attempt {
	a.Seen = eventTime.Add(later)
	return a
}

// TestTheTrackTells: what became of an event follows from the version after its own.
func TestTheTrackTells(t *testing.T) {
	evictedPod := func(change ...func(*objects.Meta)) *footprint {
		f := valued("1", change...)
		f.Body = fmt.Appendf(nil, `{"status":{"conditions":[{"type":"DisruptionTarget","status":"True","reason":"EvictionByEvictionAPI","lastTransitionTime":%q}]}}`,
			eventTime.Format(time.RFC3339))
		return f
	}
	unseen := deleted("7", "1").deleting(30 * time.Second)
	byCollector := completed("7")
	byCollector.Head.Actor.Type = v1alpha1.ActorControlPlane
	dependents := completed("7").deleting(0)
	dependents.Head.Evidence = nil
	tests := map[string]struct {
		event attempt
		life  *life
		want  fate
	}{
		"an update, overwritten at once":           {updated("7", "1", "2"), (&life{}).add(7, valued("1")).add(9, valued("2")).add(10, valued("3")), made},
		"an update, refused":                       {updated("7", "1", "2"), (&life{}).add(7, valued("1")).add(9, valued("3")).add(10, valued("2")), notMade},
		"an update, by somebody later":             {updated("7", "1", "2"), (&life{}).add(7, valued("1")).add(9, valued("2", writtenAt(time.Minute))), notMade},
		"an update, held up as its event was":      {updated("7", "1", "2").late().seen(time.Hour), (&life{}).add(7, valued("1")).add(9, valued("2", writtenAt(time.Minute))), made},
		"an update, held up by the API server":     {updated("7", "1", "2").held(time.Minute), (&life{}).add(7, valued("1")).add(9, valued("2", writtenAt(time.Minute))), made},
		"an update, by somebody after the event":   {updated("7", "1", "2").late().seen(time.Second), (&life{}).add(7, valued("1")).add(9, valued("2", writtenAt(time.Minute))), notMade},
		"an update, perhaps kept by a webhook":     {updated("7", "1", "2").kept(10 * time.Second), (&life{}).add(7, valued("1")).add(9, valued("2", writtenAt(9*time.Second))), unsure},
		"an update, kept by one not seen to be":    {updated("7", "1", "2").kept(0), (&life{}).add(7, valued("1")).add(9, valued("2", writtenAt(9*time.Second))), unsure},
		"an update, long after it was kept":        {updated("7", "1", "2").kept(10 * time.Second), (&life{}).add(7, valued("1")).add(9, valued("2", writtenAt(20*time.Second))), notMade},
		"an update, written at once":               {updated("7", "1", "2"), (&life{}).add(7, valued("1")).add(9, valued("2", writtenAt(time.Second))), made},
		"an update that nobody noted":              {updated("7", "1", "2"), (&life{}).add(7, valued("1", writtenAt(time.Minute))).add(9, valued("2", writtenAt(time.Minute))), made},
		"an update of what was removed":            {updated("7", "1", "2"), (&life{}).add(7, valued("1")).add(9, nil), notMade},
		"a scale that is kept elsewhere":           {scaled("7"), (&life{}).add(7, valued("1")).add(9, valued("5")), unsure},
		"nothing was done":                         {deleted("7", "1"), (&life{}).add(7, valued("1")), notMade},
		"a deletion":                               {deleted("7", "1"), (&life{}).add(7, valued("1")).add(9, nil), made},
		"a deletion that finalizers hold":          {deleted("7", "1"), (&life{}).add(7, valued("1")).add(9, valued("1", going(0))).add(10, nil), made},
		"a deletion, refused, then another":        {deleted("7", "1"), (&life{}).add(7, valued("1")).add(9, valued("2")).add(10, nil), notMade},
		"an eviction":                              {evicted(), (&life{}).add(7, valued("1")).add(9, evictedPod()).add(10, nil), made},
		"an eviction, refused, and another unseen": {evicted().after(-time.Minute), (&life{}).add(7, valued("1")).add(9, evictedPod()).add(10, nil), notMade},
		"a deletion, refused, and another unseen":  {deleted("7", "1").after(-time.Minute), (&life{}).add(7, valued("1")).add(9, valued("1", going(30))).add(10, nil), notMade},
		"an eviction, seen only as it ends":        {evicted(), (&life{}).add(7, valued("1")).add(10, evictedPod(going(30))).add(20, nil), made},
		"an eviction, refused, then deleted": {
			evicted(), (&life{}).add(7, valued("1")).add(9, valued("1", going(30))).add(10, nil), notMade,
		},
		"an eviction, stored before another's": {
			evicted().at(8), (&life{}).add(7, valued("1")).add(9, evictedPod()).add(10, evictedPod(going(30))).add(14, valued("2", going(30))), made,
		},
		"an eviction, stored after another's": {
			evicted().at(12), (&life{}).add(7, valued("1")).add(9, evictedPod()).add(10, evictedPod(going(30))).add(14, valued("2", going(30))), notMade,
		},
		"a removal of the collector's": {completed("7"), (&life{}).add(7, valued("1", going(0), keptBy(metav1.FinalizerDeleteDependents))).add(9, nil), unsure},
		"a removal by the collector":   {byCollector, (&life{}).add(7, valued("1", going(0), keptBy(metav1.FinalizerDeleteDependents))).add(9, nil), made},
		"a removal of finalizers":      {completed("7"), (&life{}).add(7, valued("1", going(0), keptBy("a"))).add(9, nil), made},
		"a removal of finalizers, refused": {
			completed("7"), (&life{}).add(7, valued("1", going(0), keptBy("a"))).add(9, valued("2", going(0), keptBy("a"))), notMade,
		},
		"a hastening":          {unseen, (&life{}).add(7, valued("1", going(30))).add(9, valued("1", going(0))).add(10, nil), made},
		"a hastening, refused": {unseen, (&life{}).add(7, valued("1", going(30))).add(9, valued("2", going(30))).add(10, nil), notMade},
		"dependents, otherwise": {
			dependents, (&life{}).add(7, valued("1", going(0), keptBy("foregroundDeletion"))).add(9, valued("1", going(0), keptBy("orphan"))), made,
		},
		"dependents, refused": {
			dependents, (&life{}).add(7, valued("1", going(0), keptBy("foregroundDeletion"))).add(9, valued("2", going(0), keptBy("foregroundDeletion"))), notMade,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(followed(t, test.life, test.event.Event).fate(test.event.Event)).To(Equal(test.want))
		})
	}
}

// TestTheCollectorMeetsAnother: both removed the finalizer that the collector removes.
func TestTheCollectorMeetsAnother(t *testing.T) {
	collector := completed("7").at(9)
	collector.Head.Actor.Type, collector.Head.Actor.Username = v1alpha1.ActorControlPlane, "collector"
	other := completed("7").at(8)
	known := followed(t, (&life{}).add(7, valued("1", going(0), keptBy(metav1.FinalizerDeleteDependents))).add(12, nil), collector.Event, other.Event)
	NewWithT(t).Expect([]fate{known.fate(collector.Event), known.fate(other.Event)}).To(Equal([]fate{contest, contest}))
}

// TestSearchesMeet: trails follow an object from different versions and up to different moments.
func TestSearchesMeet(t *testing.T) {
	g := NewWithT(t)
	lived := (&life{}).add(5, valued("0")).add(7, valued("1")).add(9, valued("2")).add(1234, nil).add(9999, nil)
	asked := map[uint64]bool{} // What was asked for before is remembered.
	fake := &fakeObjects{past: func(revision uint64) (objects.Sight, uint64, error) {
		asked[revision] = true
		return lived.at(revision)
	}}
	ref := &head(v1alpha1.ActionUpdate, "u1").Resource
	first, err := follow(t.Context(), fake, ref, 5, roomy())
	g.Expect(err).NotTo(HaveOccurred())
	before := len(asked)
	second, err := follow(t.Context(), fake, ref, 7, roomy())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(second.removed).To(Equal(first.removed))
	g.Expect(len(asked)-before).To(BeNumerically("<=", 4), "of %d", before)
}

func TestRoundest(t *testing.T) {
	g := NewWithT(t)
	for _, test := range []struct{ low, high, want uint64 }{{0, 2, 1}, {7, 9, 8}, {8, 10, 9}, {9, 15, 12}, {1000, 2000, 1024}, {1025, 2000, 1536}, {1, 1 << 40, 1 << 39}} {
		g.Expect(roundest(test.low, test.high)).To(Equal(test.want), "between %d and %d", test.low, test.high)
	}
}
