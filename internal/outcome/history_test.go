package outcome

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

var testDigester = audit.NewDigester([]byte("key"))

// attempt builds an event of the object u1.
type attempt struct{ *recorded.Event }

func created() attempt {
	return attempt{&recorded.Event{Head: *head(v1alpha1.ActionCreate, "u1")}}.on("")
}

func updated(base, was, is string) attempt {
	a := attempt{&recorded.Event{Head: *head(v1alpha1.ActionUpdate, "u1")}}.on(base)
	a.Head.Evidence = []v1alpha1.Evidence{{Path: "/data/a", Was: testDigester.Digest(was), Digest: testDigester.Digest(is)}}
	return a
}

func scaled(base string) attempt {
	a := elsewhere(base)
	a.Head.Resource.Subresource = "scale"
	return a
}

func evicted() attempt {
	a := deleted("7", "1")
	a.Head.Resource.Subresource = "eviction"
	return a
}

func elsewhere(base string) attempt {
	a := updated(base, "1", "2")
	a.Head.Evidence[0].Path = "/data/b"
	return a
}

// blurred is an update of so many places that it may have changed others, of which it has no evidence.
func blurred(base string) attempt {
	a := elsewhere(base)
	a.Head.Evidence = nil
	for i := range mostEvidence {
		a.Head.Evidence = append(a.Head.Evidence, v1alpha1.Evidence{Path: fmt.Sprintf("/aaa/%d", i), Was: "1", Digest: "2"})
	}
	return a
}

func deleted(base, value string) attempt {
	a := attempt{&recorded.Event{Head: *head(v1alpha1.ActionDelete, "u1")}}.on(base)
	a.Spec = jsontext.Value(fmt.Sprintf(`{"changes":[{"op":"remove","path":"","from":{"data":{"a":%q}}}]}`, value))
	return a
}

func completed(base string) attempt {
	a := updated(base, "1", "2").deleting(0)
	a.Head.Action = v1alpha1.ActionDelete
	a.Head.Evidence[0].Path = "/metadata/finalizers"
	return a
}

func (a attempt) on(base string) attempt {
	a.Head.Resource.ResourceVersion = base
	return a
}

// deleting says that the old object's deletion had been asked for, and when it was to be.
func (a attempt) deleting(in time.Duration) attempt {
	a.Head.Resource.DeletionTime = &metav1.Time{Time: eventTime.Add(in)}
	return a
}

func (a attempt) after(pause time.Duration) attempt {
	a.Head.Time = metav1.NewMicroTime(eventTime.Add(pause))
	return a
}

func (a attempt) byBob() attempt {
	a.Head.Actor.Username = "bob"
	return a
}

// TestOtherEventsTell: what became of the first attempt follows from the others.
func TestOtherEventsTell(t *testing.T) {
	ms := time.Millisecond
	tests := map[string]struct {
		first  attempt
		others []attempt
		want   fate
	}{
		"the next update saw it":            {updated("7", "1", "2"), []attempt{updated("8", "2", "3")}, made},
		"the next update saw the old value": {updated("7", "1", "2"), []attempt{updated("8", "1", "3")}, notMade},
		"a rival of unknown fate":           {updated("7", "1", "2"), []attempt{updated("7", "1", "3")}, unsure},
		"a rival was made":                  {updated("7", "1", "2"), []attempt{updated("7", "1", "3"), updated("8", "3", "4")}, notMade},
		"a rival was made, elsewhere": {
			updated("7", "1", "2"), []attempt{elsewhere("7"), elsewhere("8").wasAfter()}, notMade,
		},
		"tried again after a rival": {
			// The live object would show what the second try wrote.
			updated("7", "1", "2"), []attempt{updated("7", "1", "3"), updated("8", "3", "2"), updated("9", "2", "5")}, notMade,
		},
		"tried again later on the same version": {updated("7", "1", "2"), []attempt{updated("7", "1", "2").after(1500 * ms), updated("8", "2", "3")}, notMade},
		"the last of several tries": {
			updated("7", "1", "2").after(1500 * ms), []attempt{updated("7", "1", "2"), updated("8", "2", "3")}, made,
		},
		"the first of two at once":           {updated("7", "1", "2"), []attempt{updated("7", "1", "2").after(5 * ms), updated("8", "2", "3")}, made},
		"the second of two at once":          {updated("7", "1", "2").after(5 * ms), []attempt{updated("7", "1", "2"), updated("8", "2", "3")}, notMade},
		"two users at once":                  {updated("7", "1", "2").byBob(), []attempt{updated("7", "1", "2"), updated("8", "2", "3")}, contest},
		"two users at once, and a later one": {updated("7", "1", "2").byBob(), []attempt{updated("7", "1", "2"), updated("7", "1", "2").after(time.Second), updated("8", "2", "3")}, notMade},
		"hidden, then what it was":           {updated("7", "1", "2"), []attempt{blurred("8"), updated("9", "1", "3")}, unsure},
		"hidden, then shown":                 {updated("7", "1", "2"), []attempt{blurred("8"), updated("9", "2", "3")}, unsure},
		"the nearest version counts":         {updated("7", "1", "2"), []attempt{updated("9", "1", "3"), updated("8", "2", "1")}, made},
		"an unknown value":                   {updated("7", "1", "2"), []attempt{updated("9", "5", "6")}, unsure},
		"another place":                      {updated("7", "1", "2"), []attempt{elsewhere("8")}, unsure},
		"the deleted object had it":          {updated("7", "1", "2"), []attempt{deleted("8", "2")}, made},
		"the deleted object did not":         {updated("7", "1", "2"), []attempt{deleted("8", "1")}, notMade},
		"what was deleted had been created":  {created(), []attempt{deleted("7", "1")}, made},
		"what is there was not deleted":      {deleted("7", "1"), []attempt{updated("8", "1", "2")}, notMade},
		"a scale does not show a deletion":   {deleted("7", "1"), []attempt{scaled("8"), completed("9")}, made},
		"a deletion tried again":             {deleted("7", "1"), []attempt{deleted("8", "1")}, notMade},
		"what is being deleted was":          {deleted("7", "1"), []attempt{completed("8")}, made},
		"two deletions, nothing known":       {deleted("7", "1"), []attempt{deleted("7", "1")}, unsure},
		"refused, then somebody else did":    {deleted("7", "1"), []attempt{deleted("7", "1").after(time.Second), completed("8")}, notMade},
		"a completion, nothing known":        {completed("8"), []attempt{completed("9")}, unsure},
		"a completion that was refused":      {completed("8"), []attempt{updated("9", "1", "2").deleting(0).after(2 * time.Second)}, notMade},
		"an update beside a completion":      {updated("8", "1", "2"), []attempt{completed("8"), updated("9", "2", "3").deleting(0)}, made},
		"evicted after an update":            {evicted(), []attempt{updated("7", "1", "2"), completed("8")}, made},
		"updated beside an eviction":         {updated("7", "1", "2"), []attempt{evicted(), updated("8", "2", "3")}, made},
		"an eviction that was refused":       {evicted(), []attempt{updated("7", "1", "2").after(2 * time.Second), completed("8")}, notMade},
		"evicted or deleted":                 {evicted(), []attempt{deleted("7", "1").byBob().after(500 * ms), completed("8")}, contest},
		"evicted in vain, then deleted":      {evicted(), []attempt{deleted("7", "1").byBob().after(2 * time.Second), completed("8")}, notMade},
		"tried again on the next version": {
			deleted("7", "1").byBob(), []attempt{deleted("7", "1"), deleted("8", "1").deleting(30 * time.Second).byBob()}, notMade,
		},
		"the same value twice is no second try": {
			updated("7", "1", "2"), []attempt{updated("7", "1", "3").byBob(), updated("8", "2", "1").byBob(), updated("9", "1", "2")}, made,
		},
		"the second half of a deletion":        {deleted("8", "1").deleting(0).after(20 * ms), []attempt{deleted("7", "1")}, notMade},
		"another deletion, of a later version": {deleted("9", "1").deleting(0).after(100 * ms), []attempt{deleted("7", "1"), updated("8", "1", "2").deleting(0)}, unsure},
		"a slow second half":                   {deleted("8", "1").deleting(3 * time.Second).after(4 * time.Second), []attempt{deleted("7", "1")}, notMade},
		"another request, after a while":       {deleted("8", "1").deleting(0).after(4 * time.Second), []attempt{deleted("7", "1")}, unsure},
		"a force when the grace is over":       {deleted("8", "1").deleting(30 * time.Second).after(40 * time.Second), []attempt{deleted("7", "1")}, unsure},
		"somebody else hastens the deletion":   {deleted("8", "1").deleting(30 * time.Second).byBob(), []attempt{deleted("7", "1"), deleted("9", "1").deleting(0)}, made},
		"a hastening that was refused":         {deleted("8", "1").deleting(30 * time.Second), []attempt{updated("9", "1", "2").deleting(30 * time.Second)}, notMade},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			events := []*recorded.Event{test.first.Event}
			for i, other := range test.others {
				other.ResourceVersion = uint64(i) + 1
				events = append(events, other.Event)
			}
			NewWithT(t).Expect(newHistory(testDigester, events).fate(test.first.Event)).To(Equal(test.want))
		})
	}
}

// TestTheGoneObjectTells: of several removals of the last finalizer the object's end tells which.
func TestTheGoneObjectTells(t *testing.T) {
	g := NewWithT(t)
	first, second := completed("8"), completed("9").after(20*time.Millisecond)
	second.ResourceVersion = 1
	beside := updated("8", "1", "2").deleting(0)
	gone := newHistory(testDigester, []*recorded.Event{first.Event, second.Event, beside.Event}).with(objects.Sight{}, "u1", true)
	g.Expect(gone.fate(first.Event)).To(Equal(notMade), "it was tried again")
	g.Expect(gone.fate(second.Event)).To(Equal(made))
	g.Expect(gone.fate(beside.Event)).To(Equal(unsure))

	relabelled := completed("8").ofPod("u1")
	relabelled.Head.Evidence[0].Path = "/metadata/labels/a"
	forced := deleted("8", "1").deleting(0).ofPod("u1").byBob()
	for pause, want := range map[time.Duration]fate{-20 * time.Millisecond: unsure, 200 * time.Millisecond: unsure, time.Second: notMade} {
		gone = newHistory(testDigester, []*recorded.Event{relabelled.Event, forced.after(pause).Event}).with(objects.Sight{}, "u1", true)
		g.Expect(gone.fate(relabelled.Event)).To(Equal(want), "somebody removed it %s later", pause)
	}
	dependents := deleted("8", "1").deleting(0).byBob()
	gone = newHistory(testDigester, []*recorded.Event{first.Event, dependents.Event}).with(objects.Sight{}, "u1", true)
	g.Expect(gone.fate(first.Event)).To(Equal(unsure), "another treatment of dependents may have removed it")
	gone = newHistory(testDigester, []*recorded.Event{first.Event, deleted("7", "1").Event}).with(objects.Sight{}, "u1", true)
	g.Expect(gone.fate(first.Event)).To(Equal(made))

	bare := completed("8").ofPod("u1")
	bare.Head.Evidence = []v1alpha1.Evidence{{Path: "/metadata/finalizers"}}
	seenLater := deleted("8", "1").deleting(0).ofPod("u1").byBob().after(10 * time.Second)
	g.Expect(newHistory(testDigester, []*recorded.Event{bare.Event}).with(objects.Sight{}, "u1", true).fate(bare.Event)).To(Equal(unsure), "the kubelet may have")
	gone = newHistory(testDigester, []*recorded.Event{bare.Event, seenLater.Event}).with(objects.Sight{}, "u1", true)
	g.Expect(gone.fate(bare.Event)).To(Equal(notMade), "it was there later")

	gap := newHistory(testDigester, []*recorded.Event{first.Event, second.Event}).with(objects.Sight{}, "u1", false)
	g.Expect(gap.fate(second.Event)).To(Equal(unsure), "somebody may have removed it while nobody recorded")
}

// wasAfter makes the old object show what an update elsewhere wrote.
func (a attempt) wasAfter() attempt {
	evidence := &a.Head.Evidence[0]
	evidence.Was, evidence.Digest = evidence.Digest, testDigester.Digest("3")
	return a
}

// in says in which version of the API the request came.
func (a attempt) in(version string) attempt {
	a.Head.Resource.Version = version
	return a
}

// TestVersionsOfAnAPIAreNotCompared: what is at a place in one may be elsewhere in another.
func TestVersionsOfAnAPIAreNotCompared(t *testing.T) {
	life := (&life{}).add(7, valued("1")).add(9, valued("2"))
	for name, test := range map[string]struct {
		shows, read string
		want, track fate
	}{
		"the same version": {"v2", "v2", notMade, made},
		"another version":  {"v1", "v1", unsure, unsure},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			update, deletion := updated("7", "1", "2").in("v2"), deleted("9", "1").in(test.shows).after(time.Second)
			h := newHistory(testDigester, []*recorded.Event{update.Event, deletion.Event})
			g.Expect(h.fate(update.Event)).To(Equal(test.want))
			first := updated("7", "0", "1").in(test.read)
			h.track, _ = follow(t.Context(), &fakeObjects{past: life.at}, &first.Head.Resource, 7, roomy())
			g.Expect(h.fate(update.Event)).To(Equal(test.track))
		})
	}
}
