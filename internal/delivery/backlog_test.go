package delivery

import (
	"math/rand/v2"
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// operatorNamespace is the operator's own in these tests.
const operatorNamespace = "trailkeeper-system"

func backlogOf(t *testing.T, api *fakeAPI, trail *v1alpha1.AuditTrail, limit int) *backlog {
	t.Helper()
	return &backlog{
		source: &source{client: api.rest(t)},
		trail:  client.ObjectKeyFromObject(trail),
		uid:    trail.UID,
		places: []string{trail.Namespace, operatorNamespace},
		limit:  limit,
	}
}

// opened opens a backlog whose cursor the API server has reached.
func opened(t *testing.T, list *backlog, cursor uint64) {
	t.Helper()
	g := NewWithT(t)
	restored, err := list.open(t.Context(), cursor, cursor)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(restored).To(BeFalse())
}

// drain takes everything, and checks after each step that memory is bounded.
func drain(t *testing.T, list *backlog, count int) []recorded.Event {
	t.Helper()
	g := NewWithT(t)
	var all []recorded.Event
	for {
		events, err := list.take(t.Context(), count)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(list.bytes <= list.limit || len(list.bodies) == 1).To(BeTrue(), "%d bytes of bodies are held, and the limit is %d", list.bytes, list.limit)
		if len(events) == 0 {
			return all
		}
		all = append(all, events...)
	}
}

// TestBacklogComesInTheOrderOfRecording: names, places and later writes of status must not matter.
func TestBacklogComesInTheOrderOfRecording(t *testing.T) {
	g := NewWithT(t)
	random := rand.New(rand.NewPCG(1, 2))
	api := newFakeAPI()
	trail := newTrail("shop", "security")
	const count, cursor = 60, 110
	var want []string
	names := random.Perm(count)
	for i, n := range names {
		event := newEvent(trail, eventName(n), recordedTime)
		if random.IntN(3) == 0 {
			event.Namespace = operatorNamespace
		}
		recorded := uint64(100 + i)
		if recorded > cursor {
			want = append(want, event.Name)
		}
		version := recorded
		if random.IntN(3) == 0 { // Its outcome was written long after.
			event.Status.RecordedResourceVersion = apijson.FormatVersion(recorded)
			version = uint64(1000 + random.IntN(1000))
		}
		api.store(event, version)
	}
	predecessor := newTrail("shop", "security")
	predecessor.UID = "another"
	api.store(newEvent(predecessor, "event-of-another-uid", recordedTime), 120)
	api.store(newEvent(newTrail("shop", "other"), "event-of-another-trail", recordedTime), 121)

	list := backlogOf(t, api, trail, 1<<20)
	opened(t, list, cursor)
	events := drain(t, list, 13)
	g.Expect(namesOf(events)).To(Equal(want))
	g.Expect(versionsOf(events)[0]).To(BeEquivalentTo(cursor + 1))
	_, gets := api.reads()
	g.Expect(gets).To(BeZero(), "everything fits into memory")
}

// TestBacklogLeavesOutWhatWasExplainedSinceItWasDelivered: a note gives an event another resourceVersion. The event of the note says
// which one it had before.
func TestBacklogLeavesOutWhatWasExplainedSinceItWasDelivered(t *testing.T) {
	const cursor = 110
	for name, limit := range map[string]int{"in memory": 1 << 20, "read again": 1} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			api, trail := newFakeAPI(), newTrail("shop", "security")
			noteOn := func(n int, explained *v1alpha1.AuditEvent, before string, at uint64) {
				note := newEvent(trail, eventName(n), recordedTime)
				note.Spec.Action = v1alpha1.ActionUpdate
				note.Spec.Resource = v1alpha1.ResourceReference{
					Group: v1alpha1.GroupVersion.Group, Version: "v1alpha1", Resource: "auditevents", Kind: "AuditEvent",
					Namespace: trail.Namespace, Name: explained.Name, UID: string(explained.UID), ResourceVersion: before,
				}
				api.store(note, at)
			}
			explained := func(n int, at uint64) *v1alpha1.AuditEvent {
				event := newEvent(trail, eventName(n), recordedTime)
				event.UID = types.UID(event.Name)
				event.Annotations = map[string]string{v1alpha1.NoteAnnotation: "because"}
				api.store(event, at)
				return event
			}
			noteOn(10, explained(1, 201), "105", 200) // It was delivered.
			noteOn(11, explained(2, 203), "115", 202) // It was not.
			twice := explained(3, 206)                // It was, and explained twice.
			noteOn(12, twice, "107", 204)
			noteOn(13, twice, "205", 205)
			explained(4, 207) // Nobody knows.
			api.store(newEvent(trail, eventName(14), recordedTime), 210)

			list := backlogOf(t, api, trail, limit)
			opened(t, list, cursor)
			g.Expect(list.order.count).To(Equal(7))
			g.Expect(namesOf(drain(t, list, 3))).To(Equal([]string{
				eventName(10), eventName(11), eventName(2), eventName(12), eventName(13), eventName(4), eventName(14),
			}))
			g.Expect(list.vanished).To(BeZero())
		})
	}
}

// TestBacklogTellsWhatIsPackedAlready: one list shows what waits and what whoever packed did not come to delete.
func TestBacklogTellsWhatIsPackedAlready(t *testing.T) {
	for name, limit := range map[string]int{"in memory": 1 << 20, "read again": 1} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			api, trail := newFakeAPI(), newTrail("shop", "security")
			for n, version := range []uint64{110, 111, 120, 121, 122} {
				event := newEvent(trail, eventName(n), recordedTime)
				event.UID = types.UID(event.Name)
				api.store(event, version)
			}
			explained := newEvent(trail, eventName(9), recordedTime)
			explained.Annotations = map[string]string{v1alpha1.NoteAnnotation: "because"}
			api.store(explained, 115) // Where it was recorded nobody knows.

			list := backlogOf(t, api, trail, limit)
			restored, err := list.open(t.Context(), 110, 120)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(restored).To(BeFalse())
			g.Expect(list.leftover).To(ConsistOf(
				single{client.ObjectKey{Namespace: "shop", Name: eventName(1)}, types.UID(eventName(1))},
				single{client.ObjectKey{Namespace: "shop", Name: eventName(2)}, types.UID(eventName(2))},
			))
			g.Expect(namesOf(list.before.Events)).To(Equal([]string{eventName(0)}))
			g.Expect(versionsOf(drain(t, list, 10))).To(Equal([]uint64{121, 122}))
		})
	}
}

func TestBacklogReadsAgainWhatDoesNotFit(t *testing.T) {
	const count = 60
	inOrder := eventName
	tests := map[string]struct {
		// Name of the event that was recorded nth.
		name func(n int) string
		// fit is how many bodies fit into memory; a page has 7.
		fit int
		// gets is how many events may have to be read by themselves.
		gets int
	}{
		"by page": {inOrder, 20, 0},
		"what a page has beyond the memory, alone":  {inOrder, 5, 2 * count / 7},
		"alone, when names are in no helpful order": {func(n int) string { return eventName(count - n) }, 5, count},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			api := newFakeAPI()
			trail := newTrail("shop", "security")
			var want []string
			for n := range count {
				api.store(newEvent(trail, test.name(n), recordedTime), uint64(n+1))
				want = append(want, test.name(n))
			}
			one := taken(t, newEvent(trail, eventName(0), recordedTime), 1)
			list := backlogOf(t, api, trail, test.fit*one.Size())
			opened(t, list, 0)
			g.Expect(list.bytes).To(BeNumerically("<=", list.limit))

			g.Expect(namesOf(drain(t, list, 4))).To(Equal(want))
			_, gets := api.reads()
			g.Expect(gets).To(BeNumerically("<=", test.gets))
		})
	}
}

// TestBacklogCopiesWhatDoesNotFit: what the API server has given once is not asked for again, as far as the copy reaches.
func TestBacklogCopiesWhatDoesNotFit(t *testing.T) {
	const count, fit = 3000, 20
	for name, test := range map[string]struct {
		limit int
		name  func(n int) string
		// Again is whether lists are made for what the copy does not have.
		again bool
	}{
		"all":                                  {1 << 20, eventName, false},
		"all, when names are in another order": {1 << 20, func(n int) string { return eventName((n / 7 * 7) + 6 - n%7) }, false},
		"not what is beyond its bound":         {1, eventName, true},
		"nothing":                              {0, eventName, true},
		"not what is beyond, in another order": {1, func(n int) string { return eventName((n / 7 * 7) + 6 - n%7) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			api, trail := newFakeAPI(), newTrail("shop", "security")
			api.pageSize = 500
			var want []string
			for n := range count {
				event := newEvent(trail, test.name(n), recordedTime)
				if n >= count-50 { // Its namespace is being deleted.
					event.Namespace = operatorNamespace
				}
				api.store(event, uint64(n+1))
				want = append(want, event.Name)
			}
			one := taken(t, newEvent(trail, eventName(0), recordedTime), 1)
			list := backlogOf(t, api, trail, fit*one.Size())
			list.copyLimit = test.limit
			opened(t, list, 0)
			listed, _ := api.reads()
			g.Expect(listed).To(Equal(7), "6 pages of one namespace, and 1 of another")

			g.Expect(namesOf(drain(t, list, 100))).To(Equal(want))
			g.Expect(list.vanished).To(BeZero())
			after, gets := api.reads()
			g.Expect(after > listed).To(Equal(test.again))
			g.Expect(gets).To(BeNumerically("<=", count/10))
		})
	}
}

func TestBacklogTakesNoMoreThanFits(t *testing.T) {
	g := NewWithT(t)
	api := newFakeAPI()
	trail := newTrail("shop", "security")
	for n := range 60 {
		api.store(newEvent(trail, eventName(n), recordedTime), uint64(n+1))
	}
	one := taken(t, newEvent(trail, eventName(0), recordedTime), 1)
	list := backlogOf(t, api, trail, 5*one.Size())
	opened(t, list, 0)
	events, err := list.take(t.Context(), 60)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(versionsOf(events)).To(Equal([]uint64{1, 2, 3, 4, 5}))
}

func TestBacklogSkipsWhatWasDeletedInBetween(t *testing.T) {
	g := NewWithT(t)
	api := newFakeAPI()
	trail := newTrail("shop", "security")
	for n := range 10 {
		api.store(newEvent(trail, eventName(n), recordedTime), uint64(n+1))
	}
	list := backlogOf(t, api, trail, 1) // It holds one body.
	opened(t, list, 0)
	first, err := list.take(t.Context(), 2)
	g.Expect(err).NotTo(HaveOccurred())
	api.remove("shop", eventName(4))
	api.remove("shop", eventName(9))
	rest := drain(t, list, 3)

	g.Expect(versionsOf(append(first, rest...))).To(Equal([]uint64{1, 2, 3, 4, 6, 7, 8, 9}))
}

// TestBacklogKeepsThePlaceOfWhatIsExplained: a note that somebody gives an event while the backlog is read gives it another
// resourceVersion, and no other place.
func TestBacklogKeepsThePlaceOfWhatIsExplained(t *testing.T) {
	g := NewWithT(t)
	api := newFakeAPI()
	trail := newTrail("shop", "security")
	for n := range 20 {
		api.store(newEvent(trail, eventName(n), recordedTime), uint64(n+1))
	}
	one := taken(t, newEvent(trail, eventName(0), recordedTime), 1)
	list := backlogOf(t, api, trail, 3*one.Size())
	opened(t, list, 0)
	first, err := list.take(t.Context(), 2)
	g.Expect(err).NotTo(HaveOccurred())
	for _, n := range []int{1, 11} { // One that was taken, and one that was not.
		explained := newEvent(trail, eventName(n), recordedTime)
		explained.Annotations = map[string]string{v1alpha1.NoteAnnotation: "because"}
		api.store(explained, uint64(100+n))
	}
	all := slices.Concat(first, drain(t, list, 3))
	g.Expect(all).To(HaveLen(20))
	for n := range all {
		g.Expect(all[n].Name).To(Equal(eventName(n)))
		g.Expect(all[n].ResourceVersion).To(BeEquivalentTo(n + 1))
	}
	g.Expect(list.vanished).To(BeZero())
}

// TestBacklogEndsWhereItIsComplete: what is recorded between the lists of two namespaces is left to the feed, for the
// first of the lists does not show it.
func TestBacklogEndsWhereItIsComplete(t *testing.T) {
	g := NewWithT(t)
	api := newFakeAPI()
	trail := newTrail("shop", "security")
	api.store(newEvent(trail, "before", recordedTime), 10)
	api.onList = func(namespace string) {
		if namespace != operatorNamespace {
			return
		}
		api.onList = nil
		api.store(newEvent(trail, "between-in-the-first", recordedTime), 11)
		second := newEvent(trail, "between-in-the-second", recordedTime)
		second.Namespace = operatorNamespace
		api.store(second, 12)
	}
	list := backlogOf(t, api, trail, 1<<20)
	opened(t, list, 0)
	g.Expect(list.upTo).To(BeEquivalentTo(10))
	g.Expect(namesOf(drain(t, list, 10))).To(Equal([]string{"before"}))
}

func TestDrainedComparesWithTheCursor(t *testing.T) {
	g := NewWithT(t)
	api := newFakeAPI()
	trail := newTrail("shop", "security")
	api.store(newEvent(trail, "one", recordedTime), 10)
	d := New(Options{Namespace: operatorNamespace, REST: api.rest(t), Client: newFakeTrails(trail)})
	for version, want := range map[string]bool{"": false, "9": false, "10": true, "11": false} {
		now := metav1.Now()
		trail.Status.Delivery = &v1alpha1.DeliveryStatus{ResourceVersion: version, DrainedTime: &now}
		drained, err := d.Drained(t.Context(), trail)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(drained).To(Equal(want), "cursor %q", version)
		trail.Status.Delivery.DrainedTime = nil
		g.Expect(d.Drained(t.Context(), trail)).To(BeFalse(), "cursor %q, and the courier has not said so", version)
	}
	g.Expect(d.placesOf(operatorNamespace)).To(Equal([]string{operatorNamespace}))
	g.Expect(d.backlogOf(types.NamespacedName{Namespace: "shop", Name: "security"}, "u").places).To(Equal([]string{"shop", operatorNamespace}))
}

// TestARestoredEtcdStartsOver: no resourceVersion from before says what was pushed of what there is now.
func TestARestoredEtcdStartsOver(t *testing.T) {
	g := NewWithT(t)
	api := newFakeAPI()
	trail := newTrail("shop", "security")
	for n := range 3 {
		api.store(newEvent(trail, eventName(n), recordedTime), uint64(n+10))
	}
	list := backlogOf(t, api, trail, 1<<20)
	restored, err := list.open(t.Context(), 500, 500)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(restored).To(BeTrue())
	g.Expect(versionsOf(drain(t, list, 10))).To(Equal([]uint64{10, 11, 12}))
}
