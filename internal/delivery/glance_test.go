package delivery

import (
	"strconv"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
)

// manyCreated are creations of so many objects in one place.
func manyCreated(count int) []Event {
	events := make([]Event, count)
	for i := range events {
		events[i] = Event{Head: *head(v1alpha1.ActionCreate, "u"+strconv.Itoa(i))}
		events[i].Head.Resource.Name = "web-" + strconv.Itoa(i)
		events[i].Head.Resource.ResourceVersion = ""
		events[i].ResourceVersion = uint64(i) + 1
	}
	return events
}

func TestManyObjectsOfOnePlaceAreReadByAList(t *testing.T) {
	g := NewWithT(t)
	events := manyCreated(surveyFrom)
	objects := &fakeObjects{complete: true, shown: map[string]sight{}}
	for i := range events[:surveyFrom-1] { // the last one was refused after it was recorded
		ref := &events[i].Head.Resource
		objects.shown[ref.Name] = seen(ref.UID, "8")
	}
	j, _ := newJudge(objects)
	judgements := judgeAll(j, t.Context(), events, nil)
	g.Expect(judgements[:surveyFrom-1]).To(HaveEach(persisted))
	g.Expect(judgements[surveyFrom-1]).To(Equal(notPersisted))
	g.Expect(objects.surveys).To(Equal(1))
	g.Expect(objects.reads).To(BeEmpty())
}

func TestAFewObjectsAreReadOneByOne(t *testing.T) {
	g := NewWithT(t)
	objects := &fakeObjects{cached: seen("u0", "8")}
	j, _ := newJudge(objects)
	judgeAll(j, t.Context(), manyCreated(surveyFrom-1), nil)
	g.Expect(objects.surveys).To(BeZero())
	g.Expect(len(objects.reads)).To(BeNumerically(">=", surveyFrom-1))
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
			objects := test.objects
			var said []string
			ctx := log.IntoContext(t.Context(), funcr.New(func(_, line string) { said = append(said, line) }, funcr.Options{Verbosity: 1}))
			events := manyCreated(surveyFrom)
			objects.shown = map[string]sight{"web-0": seen("u0", "8")}
			objects.consistent = seen("another", "9")
			j, clock := newJudge(objects)
			judgements := judgeAll(j, ctx, events, nil)
			g.Expect(judgements[0]).To(Equal(persisted), "the list showed it")
			g.Expect(judgements[1:]).To(HaveEach(notPersisted))
			g.Expect(objects.reads).To(HaveLen(2*(surveyFrom-1)), "each was read from the cache, and then consistently")

			judgeAll(j, ctx, events, nil)
			g.Expect(objects.surveys).To(Equal(1))
			g.Expect(said).To(ConsistOf(And(ContainSubstring("one by one"), ContainSubstring(test.cause.Error()))))
			clock.SetTime(clock.Now().Add(forbiddenFor + time.Second))
			judgeAll(j, ctx, events, nil)
			g.Expect(objects.surveys).To(Equal(2))
		})
	}
}

// TestAGlanceServesABacklog: what was read for the first events serves those that were due by then, and no others.
func TestAGlanceServesABacklog(t *testing.T) {
	g := NewWithT(t)
	objects := &fakeObjects{cached: seen("u1", "8")}
	j, clock := newJudge(objects)
	j.Settle = time.Second
	event := *changed(v1alpha1.ActionCreate, "u1")
	event.Seen = clock.Now().Add(-time.Second)
	judge := func(event Event) {
		g.Expect(judgeAll(j, t.Context(), []Event{event}, nil)).To(Equal([]ledger.Judgement{persisted}))
	}

	j.keepGlance()
	judge(event)
	judge(event)
	g.Expect(objects.reads).To(HaveLen(1))

	clock.SetTime(clock.Now().Add(time.Minute))
	later := event
	later.Seen = event.Seen.Add(time.Millisecond)
	judge(later)
	g.Expect(objects.reads).To(HaveLen(2), "it was not due when the first glance began")
	judge(later)
	g.Expect(objects.reads).To(HaveLen(2))

	j.dropGlance()
	judge(later)
	g.Expect(objects.reads).To(HaveLen(3))
}
