package outcome

import (
	"context"
	"io"
	"net/url"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// fakeObjects shows what a test says: one answer for the API server's cache, one for consistent reads.
type fakeObjects struct {
	mu                 sync.Mutex
	cached, consistent objects.Sight
	cachedErr, err     error
	// errs are what the first consistent reads fail with.
	errs []error
	// reads are the consistent flags of the reads so far.
	reads []bool
	// shown is what a list shows, when lists are allowed and complete; surveys counts them.
	shown    map[string]objects.Sight
	refusing error
	complete bool
	surveys  int
	// pasts are what the objects of a place were, by their names.
	pasts map[string]*life
	// Past is what the object was at a revision.
	past func(revision uint64) (objects.Sight, uint64, error)
	// appears says whether an object was ever there after a revision; nobody can tell where it is nil.
	appears func(since uint64) (bool, error)
	// apart is why revisions say nothing of objects.
	apart error
}

func (f *fakeObjects) Read(_ context.Context, _ *v1alpha1.ResourceReference, _, consistent bool) (objects.Sight, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads = append(f.reads, consistent)
	if consistent && len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return objects.Sight{}, err
	}
	if consistent {
		return f.consistent, f.err
	}
	return f.cached, f.cachedErr
}

func (f *fakeObjects) Survey(_ context.Context, _ *v1alpha1.ResourceReference, revision uint64, _ bool, wanted map[string]bool,
	visit func(name string, seen objects.Sight),
) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.surveys++
	for name, life := range f.pasts {
		seen, _, err := life.at(revision)
		if err != nil {
			return false, err
		}
		if seen.Exists && wanted[name] {
			visit(name, seen)
		}
	}
	for name, seen := range f.shown {
		if wanted[name] {
			visit(name, seen)
		}
	}
	return f.complete, f.refusing
}

// At shows nothing of the past unless a test says so.
func (f *fakeObjects) At(_ context.Context, _ *v1alpha1.ResourceReference, revision uint64) (objects.Sight, uint64, error) {
	if f.past == nil {
		return objects.Sight{}, 0, errAway
	}
	return f.past(revision)
}

func (f *fakeObjects) Appeared(_ context.Context, refs []*v1alpha1.ResourceReference, since uint64) (map[string]bool, error) {
	if f.appears == nil {
		return nil, errAway
	}
	appeared, err := f.appears(since)
	seen := map[string]bool{}
	for _, ref := range refs {
		seen[ref.UID] = appeared
	}
	return seen, err
}

// ShareRevisions fails as a test says.
func (f *fakeObjects) ShareRevisions(context.Context, *v1alpha1.ResourceReference) error {
	return f.apart
}

// errAway is what the API server says when it cannot reach the API server of a kind.
var errAway = apierrors.NewServiceUnavailable("the API server of such objects is away")

func newJudge(reader objects.Reader) (*Judge, *clocktesting.FakePassiveClock) {
	clock := clocktesting.NewFakePassiveClock(eventTime)
	return New(Options{
		Objects: reader, Digester: audit.NewDigester([]byte("key")), Clock: clock,
		DeletesAreRecorded: func(*v1alpha1.ResourceReference) bool { return true },
		NothingMissed:      func(*v1alpha1.ResourceReference, time.Time) bool { return true },
		Forgotten:          func() time.Time { return time.Time{} },
		StalledUntil:       func(time.Time) time.Time { return time.Time{} },
		SlowWebhooks:       &SlowWebhooks{},
		MayBeKept:          func(*v1alpha1.ResourceReference, v1alpha1.Action) time.Duration { return 0 },
		StallsKnown:        func(time.Time) bool { return true },
		Unrecorded:         func(*v1alpha1.ResourceReference, time.Time) time.Time { return time.Time{} },
	}), clock
}

// judgeAll is the judge's judgements alone.
func judgeAll(ctx context.Context, j *Judge, events, others []recorded.Event) []ledger.Judgement {
	var judgements []ledger.Judgement
	verdicts, err := j.All(ctx, events, others, false)
	if err != nil {
		panic(err)
	}
	if err := j.Recall(ctx, events, others, verdicts, false); err != nil {
		panic(err)
	}
	j.Again(events, others, verdicts, true)
	for _, v := range verdicts {
		judgements = append(judgements, v.Judgement)
	}
	return judgements
}

func judgeOne(t *testing.T, j *Judge, event *recorded.Event) ledger.Judgement {
	t.Helper()
	return judgeAll(t.Context(), j, []recorded.Event{*event}, nil)[0]
}

func changed(action v1alpha1.Action, uid string) *recorded.Event {
	return &recorded.Event{Head: *head(action, uid)}
}

// TestAnEventIsNoRivalOfItself: what came while a backlog was listed is in the list and in the inbox.
func TestAnEventIsNoRivalOfItself(t *testing.T) {
	there := seen("u1", "9")
	for name, event := range map[string]*recorded.Event{
		"a creation": created().at(8).Event,
		"an update":  updated("7", "1", "2").at(8).Event,
		"a deletion": deleted("7", "1").at(8).Event,
	} {
		event.Name, event.Head.Resource.UID = "event", "u1"
		now := there
		now.Body = []byte(`{"data":{"a":"2"}}`)
		if event.Head.Action == v1alpha1.ActionDelete {
			now = objects.Sight{}
		}
		j, _ := newJudge(&fakeObjects{cached: now, consistent: now})
		NewWithT(t).Expect(judgeAll(t.Context(), j, []recorded.Event{*event}, []recorded.Event{*event})).To(HaveExactElements(persisted), name)
	}
}

func TestJudgeReadsTheCacheFirst(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "web", nil)
	notSupported := apierrors.NewMethodNotSupported(schema.GroupResource{Resource: "bindings"}, "get")
	tests := map[string]struct {
		event   *recorded.Event
		objects *fakeObjects
		want    ledger.Judgement
		reads   []bool
	}{
		"there in the cache is proof":          {changed(v1alpha1.ActionCreate, "u1"), &fakeObjects{cached: seen("u1", "8")}, persisted, []bool{false}},
		"the cache lags":                       {changed(v1alpha1.ActionCreate, "u1"), &fakeObjects{consistent: seen("u1", "8")}, persisted, []bool{false, true}},
		"not there at all":                     {changed(v1alpha1.ActionCreate, "u1"), &fakeObjects{}, notPersisted, []bool{false, true}},
		"gone from the cache is no proof":      {changed(v1alpha1.ActionDelete, "u1"), &fakeObjects{consistent: seen("u1", "7")}, notPersisted, []bool{false, true}},
		"the cache does not know the deletion": {changed(v1alpha1.ActionDelete, "u1"), &fakeObjects{cached: seen("u1", "7")}, persisted, []bool{false, true}},
		"not readable": {
			changed(v1alpha1.ActionCreate, "u1"), &fakeObjects{cachedErr: errAway, err: errAway}, notReadable, []bool{false, true, true},
		},
		"the cache says no and the rest fails": {
			changed(v1alpha1.ActionCreate, "u1"), &fakeObjects{err: errAway}, notReadable, []bool{false, true, true},
		},
		"the cache fails":        {changed(v1alpha1.ActionCreate, "u1"), &fakeObjects{cachedErr: errAway}, notPersisted, []bool{false, true}},
		"not allowed":            {changed(v1alpha1.ActionCreate, "u1"), &fakeObjects{cachedErr: forbidden}, notAllowed, []bool{false}},
		"cannot be read at all":  {changed(v1alpha1.ActionCreate, "u1"), &fakeObjects{cachedErr: notSupported}, notReadable, []bool{false}},
		"a connection":           {changed(v1alpha1.ActionConnect, ""), &fakeObjects{}, ledger.Judgement{}, nil},
		"the update's old state": {changed(v1alpha1.ActionUpdate, "u1"), &fakeObjects{cached: seen("u1", "7"), consistent: seen("u1", "8")}, overwritten, []bool{false, true}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				j, _ := newJudge(test.objects)
				g.Expect(judgeOne(t, j, test.event)).To(Equal(test.want))
				g.Expect(test.objects.reads).To(Equal(test.reads))
			})
		})
	}
}

func TestJudgeRemembersForAMinuteWhatItMayNotRead(t *testing.T) {
	g := NewWithT(t)
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "web", nil)
	fake := &fakeObjects{cachedErr: forbidden, err: forbidden}
	j, clock := newJudge(fake)
	event := changed(v1alpha1.ActionCreate, "u1")
	for range 3 {
		g.Expect(judgeOne(t, j, event)).To(Equal(notAllowed))
	}
	g.Expect(fake.reads).To(HaveLen(1))

	elsewhere := changed(v1alpha1.ActionCreate, "u1")
	elsewhere.Head.Resource.Namespace = "elsewhere"
	g.Expect(judgeOne(t, j, elsewhere)).To(Equal(notAllowed))
	g.Expect(fake.reads).To(HaveLen(2), "rights differ from namespace to namespace")

	clock.SetTime(eventTime.Add(forbiddenFor + time.Second))
	fake.cachedErr, fake.cached = nil, seen("u1", "8")
	g.Expect(judgeOne(t, j, event)).To(Equal(persisted))
}

// TestJudgeConcludesNothingFromAnAPIServerThatIsAway, or that does not know yet who may do what: delivery tries again.
func TestJudgeConcludesNothingFromAnAPIServerThatIsAway(t *testing.T) {
	refused := &url.Error{Op: "Get", URL: "https://kubernetes", Err: syscall.ECONNREFUSED}
	create, update := changed(v1alpha1.ActionCreate, "u1"), updated("7", "1", "2").Event
	is := objects.Sight{Exists: true, Meta: seen("u1", "20").Meta, Body: valued("3").Body}
	past := func(err error) func(uint64) (objects.Sight, uint64, error) {
		return func(uint64) (objects.Sight, uint64, error) { return objects.Sight{}, 0, err }
	}
	for name, test := range map[string]struct {
		event   *recorded.Event
		objects *fakeObjects
		fails   bool
	}{
		"away":                                   {create, &fakeObjects{cachedErr: refused, err: refused}, true},
		"not yet":                                {create, &fakeObjects{cachedErr: objects.ErrNotReady, err: objects.ErrNotReady}, true},
		"away when the past is asked for":        {update, &fakeObjects{cached: is, consistent: is, past: past(refused)}, true},
		"not yet when the past is asked for":     {update, &fakeObjects{cached: is, consistent: is, past: past(objects.ErrNotReady)}, true},
		"cut off when the past is asked for":     {update, &fakeObjects{cached: is, consistent: is, past: past(io.ErrUnexpectedEOF)}, true},
		"the past is lost":                       {update, &fakeObjects{cached: is, consistent: is, past: past(errTrackLost)}, false},
		"the past takes too long":                {update, &fakeObjects{cached: is, consistent: is, past: past(&url.Error{Err: context.DeadlineExceeded})}, false},
		"away when a binding's pod is looked at": {bound().Event, &fakeObjects{past: past(refused)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j, _ := newJudge(test.objects)
				_, err := j.All(t.Context(), []recorded.Event{*test.event}, nil, false)
				NewWithT(t).Expect(err != nil).To(Equal(test.fails), "%v", err)
			})
		})
	}
}

// TestJudgeKeepsWhatWasWritten: an outcome that an earlier leader wrote on the event is not judged again.
func TestJudgeKeepsWhatWasWritten(t *testing.T) {
	g := NewWithT(t)
	fake := &fakeObjects{cached: seen("u1", "8")}
	j, _ := newJudge(fake)
	event := changed(v1alpha1.ActionCreate, "u1")
	event.Status = v1alpha1.AuditEventStatus{Outcome: v1alpha1.OutcomeUnknown, Message: "as it was"}
	g.Expect(judgeOne(t, j, event)).To(Equal(ledger.Judgement{Outcome: v1alpha1.OutcomeUnknown, Message: "as it was"}))
	g.Expect(fake.reads).To(BeEmpty())
}

// TestAnEventOfTheObjectProvesItsCreation: whenever it was recorded, also before the creation's own event, which may have
// waited in a local file.
func TestAnEventOfTheObjectProvesItsCreation(t *testing.T) {
	g := NewWithT(t)
	fake := &fakeObjects{}
	j, _ := newJudge(fake)
	deleted, created := changed(v1alpha1.ActionDelete, "u1"), changed(v1alpha1.ActionCreate, "u1")
	created.Head.Resource.ResourceVersion = ""
	created.ResourceVersion, deleted.ResourceVersion = 10, 11
	g.Expect(judgeAll(t.Context(), j, []recorded.Event{*created}, []recorded.Event{*deleted})[0]).To(Equal(persisted))
	g.Expect(fake.reads).To(BeEmpty())

	created.ResourceVersion = 12
	g.Expect(judgeAll(t.Context(), j, []recorded.Event{*deleted, *created}, nil)[1]).To(Equal(persisted))
}
