package outcome

import (
	"strconv"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// manyCreated are creations of so many objects in one place.
func manyCreated(count int) []recorded.Event {
	events := make([]recorded.Event, count)
	for i := range events {
		events[i] = recorded.Event{Head: *head(v1alpha1.ActionCreate, "u"+strconv.Itoa(i))}
		events[i].Head.Resource.Name = "web-" + strconv.Itoa(i)
		events[i].Head.Resource.ResourceVersion = ""
		events[i].ResourceVersion = uint64(i) + 1
	}
	return events
}

func TestManyObjectsOfOnePlaceAreReadByAList(t *testing.T) {
	g := NewWithT(t)
	events := manyCreated(objects.SurveyFrom)
	fake := &fakeObjects{complete: true, shown: map[string]objects.Sight{}}
	for i := range events[:objects.SurveyFrom-1] { // the last one was refused after it was recorded
		ref := &events[i].Head.Resource
		fake.shown[ref.Name] = seen(ref.UID, "8")
	}
	j, _ := newJudge(fake)
	judgements := judgeAll(t.Context(), j, events, nil)
	g.Expect(judgements[:objects.SurveyFrom-1]).To(HaveEach(persisted))
	g.Expect(judgements[objects.SurveyFrom-1]).To(Equal(notPersisted))
	g.Expect(fake.surveys).To(Equal(1))
	g.Expect(fake.reads).To(BeEmpty())
}

func TestAFewObjectsAreReadOneByOne(t *testing.T) {
	g := NewWithT(t)
	fake := &fakeObjects{cached: seen("u0", "8")}
	j, _ := newJudge(fake)
	judgeAll(t.Context(), j, manyCreated(objects.SurveyFrom-1), nil)
	g.Expect(fake.surveys).To(BeZero())
	g.Expect(len(fake.reads)).To(BeNumerically(">=", objects.SurveyFrom-1))
}

// TestAListThatIsRefusedOrTooLong: what it did not show is read, and the list is not asked for again at once. It is said
// once, not for each batch.
func TestAListThatIsRefusedOrTooLong(t *testing.T) {
	for name, test := range map[string]struct {
		objects *fakeObjects
		cause   error
	}{
		"refused":  {&fakeObjects{refusing: errAway}, errAway},
		"too long": {&fakeObjects{}, errTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			fake := test.objects
			var said []string
			ctx := log.IntoContext(t.Context(), funcr.New(func(_, line string) { said = append(said, line) }, funcr.Options{Verbosity: 1}))
			events := manyCreated(objects.SurveyFrom)
			fake.shown = map[string]objects.Sight{"web-0": seen("u0", "8")}
			fake.consistent = seen("another", "9")
			j, clock := newJudge(fake)
			judgements := judgeAll(ctx, j, events, nil)
			g.Expect(judgements[0]).To(Equal(persisted), "the list showed it")
			g.Expect(judgements[1:]).To(HaveEach(notPersisted))
			g.Expect(fake.reads).To(HaveLen(2*(objects.SurveyFrom-1)), "each was read from the cache, and then consistently")

			judgeAll(ctx, j, events, nil)
			g.Expect(fake.surveys).To(Equal(1))
			g.Expect(said).To(ConsistOf(And(ContainSubstring("one by one"), ContainSubstring(test.cause.Error()))))
			clock.SetTime(clock.Now().Add(forbiddenFor + time.Second))
			judgeAll(ctx, j, events, nil)
			g.Expect(fake.surveys).To(Equal(2))
		})
	}
}

// TestAGlanceServesABacklog: what was read for the first events serves those that were due by then, and no others.
func TestAGlanceServesABacklog(t *testing.T) {
	g := NewWithT(t)
	fake := &fakeObjects{cached: seen("u1", "8")}
	j, clock := newJudge(fake)
	j.Settle = time.Second
	event := *changed(v1alpha1.ActionCreate, "u1")
	event.Seen = clock.Now().Add(-time.Second)
	judge := func(event recorded.Event) {
		g.Expect(judgeAll(t.Context(), j, []recorded.Event{event}, nil)).To(Equal([]ledger.Judgement{persisted}))
	}

	j.KeepGlance()
	judge(event)
	judge(event)
	g.Expect(fake.reads).To(HaveLen(1))

	clock.SetTime(clock.Now().Add(time.Minute))
	later := event
	later.Seen = event.Seen.Add(time.Millisecond)
	judge(later)
	g.Expect(fake.reads).To(HaveLen(2), "it was not due when the first glance began")
	judge(later)
	g.Expect(fake.reads).To(HaveLen(2))

	j.DropGlance()
	judge(later)
	g.Expect(fake.reads).To(HaveLen(3))
}

// TestAGlanceIsNotKeptForWhatMayBeMadeLater: another webhook may have kept the request until after it began.
func TestAGlanceIsNotKeptForWhatMayBeMadeLater(t *testing.T) {
	j, clock := newJudge(&fakeObjects{})
	clock.SetTime(eventTime.Add(5 * time.Second))
	j.KeepGlance()
	event := updated("7", "1", "2")
	kept := j.glanceFor(nil)
	g := NewWithT(t)
	g.Expect(j.glanceFor([]openCase{{event: event.Event}})).To(BeIdenticalTo(kept))
	event.MayBeKept = 10 * time.Second
	g.Expect(j.glanceFor([]openCase{{event: event.Event}})).NotTo(BeIdenticalTo(kept))
}
