package outcome

import (
	"cmp"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// ofPod makes an attempt one on the pod web.
func (a attempt) ofPod(uid string) attempt {
	a.Head.Resource.Resource, a.Head.Resource.Kind, a.Head.Resource.UID = "pods", "Pod", uid
	return a
}

// TestAnEvictionWhosePodCouldNotBeRead: it is taken for one of the pod of that name of which something was stored last before it.
func TestAnEvictionWhosePodCouldNotBeRead(t *testing.T) {
	stored := func(a attempt, version uint64) recorded.Event {
		a.ResourceVersion = version
		return *a.Event
	}
	first, second := stored(created().ofPod("u1"), 1), stored(created().ofPod("u2"), 3)
	refused := stored(created().ofPod("u3"), 4)
	refused.Status.Outcome = v1alpha1.OutcomeNotPersisted
	later := stored(created().ofPod("u4"), 6)
	for name, test := range map[string]struct {
		others []recorded.Event
		want   string
	}{
		"nothing is known":                   {nil, ""},
		"the last before it":                 {[]recorded.Event{first, second}, "u2"},
		"one that did not stick":             {[]recorded.Event{first, refused}, "u1"},
		"one that was stored afterwards":     {[]recorded.Event{first, later}, "u1"},
		"only ones that were stored later":   {[]recorded.Event{later}, ""},
		"only ones that were not persistent": {[]recorded.Event{refused}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			eviction := stored(evicted().ofPod(""), 5)
			events := []*recorded.Event{}
			for i := range test.others {
				events = append(events, &test.others[i])
			}
			events = append(events, &eviction)
			slices.SortFunc(events, func(a, b *recorded.Event) int { return cmp.Compare(a.ResourceVersion, b.ResourceVersion) })
			findPods(events)
			NewWithT(t).Expect(eviction.Head.Resource.UID).To(Equal(test.want))
		})
	}
}

// TestAnEvictionThatFoundNoPodAtFirst: the API server looks for the pod after admission, and may find one that was being
// created.
func TestAnEvictionThatFoundNoPodAtFirst(t *testing.T) {
	ms := time.Millisecond
	creation, held := created().ofPod("u1"), completed("8").ofPod("u1").after(300*ms)
	going := seen("u1", "8")
	going.Meta.DeletionTimestamp = &metav1.Time{Time: eventTime}
	fresh := seen("u1", "7")
	fresh.Meta.CreationTimestamp = metav1.NewTime(eventTime)
	younger := going
	younger.Meta.CreationTimestamp = metav1.NewTime(eventTime.Add(time.Second))
	tests := map[string]struct {
		others []attempt
		seen   objects.Sight
		want   []ledger.Judgement
	}{
		"nobody created one":             {nil, objects.Sight{}, []ledger.Judgement{notPersisted}},
		"it was created and is there":    {[]attempt{creation}, fresh, []ledger.Judgement{notPersisted, persisted}},
		"it was created and is going":    {[]attempt{creation}, going, []ledger.Judgement{persisted, persisted}},
		"it was created and went":        {[]attempt{creation, held}, objects.Sight{}, []ledger.Judgement{persisted, persisted, persisted}},
		"neither was seen":               {[]attempt{creation}, objects.Sight{}, []ledger.Judgement{goneSince, goneSince}},
		"another one was created":        {[]attempt{created().ofPod("u2").after(40 * ms), creation, held}, objects.Sight{}, []ledger.Judgement{persisted, goneSince, persisted, persisted}},
		"created a moment later":         {[]attempt{created().ofPod("u1").after(110 * ms)}, going, []ledger.Judgement{goneSince, persisted}},
		"created later, others know it":  {[]attempt{created().ofPod("u1").after(110 * ms), completed("8").ofPod("u1").after(300 * ms)}, objects.Sight{}, []ledger.Judgement{persisted, persisted, persisted}},
		"it was created much later":      {[]attempt{created().ofPod("u1").after(3 * time.Second)}, fresh, []ledger.Judgement{notPersisted, persisted}},
		"one was created a second later": {nil, younger, []ledger.Judgement{notPersisted}},
		"somebody else deleted it later": {[]attempt{creation, deleted("7", "1").ofPod("u1").after(3 * time.Second)}, objects.Sight{}, []ledger.Judgement{notPersisted, persisted, persisted}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			eviction := evicted().ofPod("").on(v1alpha1.NoVersion).after(50 * ms)
			events := []recorded.Event{*eviction.Event}
			for i, other := range test.others {
				other.ResourceVersion = uint64(i) + 1
				events = append(events, *other.Event)
			}
			j, _ := newJudge(&fakeObjects{cached: test.seen, consistent: test.seen})
			got := judgeAll(t.Context(), j, events, nil)
			NewWithT(t).Expect(got).To(Equal(test.want))
		})
	}
}

// TestAnEvictionOfWhatIsGoing may have ended the pod, and tells that an update before it did not.
func TestAnEvictionOfWhatIsGoing(t *testing.T) {
	bare := (&life{}).add(7, valued("1", going(0))).add(20, nil)
	for name, test := range map[string]struct {
		apart time.Duration
		want  ledger.Judgement
	}{
		"a while later": {600 * time.Millisecond, notPersisted},
		"at once":       {100 * time.Millisecond, goneSince},
	} {
		t.Run(name, func(t *testing.T) {
			update := completed("7").deleting(0).ofKind("pods").at(10)
			update.Head.Evidence[0].Was = update.Head.Evidence[0].Digest
			eviction := evicted().ofPod("u1").on("7").deleting(0).ofKind("pods").at(12).after(test.apart)
			j, _ := newJudge(&fakeObjects{past: bare.at})
			got := judgeAll(t.Context(), j, []recorded.Event{*update.Event, *eviction.Event}, nil)
			NewWithT(t).Expect(got).To(HaveExactElements(test.want, foundGoing))
		})
	}
}
