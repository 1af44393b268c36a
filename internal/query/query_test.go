package query

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/chunk"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func labelsOf(meta *metav1.PartialObjectMetadata) labels.Set { return meta.Labels }

// manyEvents come in bursts: many in a millisecond, and none for days.
func manyEvents(random *rand.Rand, count int) []v1alpha1.AuditEvent {
	var events []v1alpha1.AuditEvent
	at := epoch
	for i := range count {
		switch random.IntN(50) {
		case 0:
			at = at.Add(time.Duration(random.Int64N(int64(72 * time.Hour))))
		case 1, 2, 3, 4, 5:
			at = at.Add(time.Duration(random.Int64N(int64(time.Second))))
		}
		events = append(events, event(at.Truncate(time.Microsecond), i))
	}
	return events
}

// wantedNames are what a list of everything would give.
func wantedNames(events []v1alpha1.AuditEvent, filter *Filter, newest bool) []string {
	names := []string{}
	for i := range events {
		if filter.Matches((&Cluster{}).Row(&events[i])) {
			names = append(names, events[i].Name)
		}
	}
	slices.Sort(names)
	if newest {
		slices.Reverse(names)
	}
	return names
}

func namesByPage(t *testing.T, query *Query, skip, limit int) []string {
	t.Helper()
	g := NewWithT(t)
	names, skipped := []string{}, skip
	var cursor *Cursor
	for {
		page, err := query.Page(t.Context(), cursor, skip, limit)
		g.Expect(err).NotTo(HaveOccurred())
		for _, row := range page.Rows {
			names = append(names, row.Event.Name)
		}
		if page.Next == nil {
			return names
		}
		g.Expect(page.Rows).To(HaveLen(limit))
		g.Expect(page.Next.Count).To(Equal(skipped + len(names)))
		cursor, err = ParseCursor(page.Next.String())
		g.Expect(err).NotTo(HaveOccurred())
		query.Newest, skip = cursor.Newest, 0
	}
}

func TestPagesAreTheWholeListInOrder(t *testing.T) {
	for seed := range uint64(16) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			events := manyEvents(random, 1+random.IntN(3000))
			filter := randomFilter(random, events)
			api := &fakeAPI{events: events, expired: seed%4 == 0}
			query := &Query{Filter: filter, Newest: seed%2 == 0, Places: []Place{&Cluster{Reader: api, Namespace: "shop"}}}
			got := namesByPage(t, query, 0, 1+random.IntN(700))
			NewWithT(t).Expect(got).To(Equal(wantedNames(events, &filter, query.Newest)), "%+v", filter)
		})
	}
}

func randomFilter(random *rand.Rand, events []v1alpha1.AuditEvent) Filter {
	var filter Filter
	some := func() bool { return random.IntN(4) == 0 }
	example := &events[random.IntN(len(events))].Spec
	if some() {
		filter.Actions = []v1alpha1.Action{example.Action}
	}
	if some() {
		filter.Actions = append(filter.Actions, v1alpha1.ActionDelete)
	}
	if some() {
		filter.Kinds = []string{"spectrocluster", "PROJECT"}
	}
	if some() {
		filter.Name = example.Resource.Name
	}
	if some() {
		filter.Namespace = example.Resource.Namespace
	}
	if some() {
		filter.UID = example.Resource.UID
	}
	if some() {
		filter.User = []string{example.Actor.Username, example.Actor.UID}[random.IntN(2)]
	}
	if some() {
		filter.Trail = example.TrailRef.Name
	}
	if some() {
		filter.Outcomes = []v1alpha1.Outcome{v1alpha1.OutcomeNotPersisted}
	}
	if some() {
		filter.Start = example.Time.Time
	}
	if some() {
		filter.End = events[random.IntN(len(events))].Spec.Time.Time
	}
	return filter
}

// A newest-first page must not read what is older: the first page of a great namespace takes as many lists as of a small one.
func TestTheFirstPageReadsFewPages(t *testing.T) {
	g := NewWithT(t)
	var events []v1alpha1.AuditEvent
	for i := range 20_000 {
		events = append(events, event(epoch.Add(time.Duration(i)*20*time.Millisecond), i))
	}
	api, memory := &fakeAPI{events: events}, NewMemory()
	query := &Query{
		Filter: Filter{Start: epoch.Add(-12 * time.Hour), End: epoch.Add(12 * time.Hour)}, Newest: true,
		Places: []Place{&Cluster{Reader: api, Namespace: "shop", Memory: memory}},
	}
	page, err := query.Page(t.Context(), nil, 0, 50)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(page.Rows).To(HaveLen(50))
	g.Expect(page.Rows[0].Event.Name).To(Equal(events[19_999].Name))
	g.Expect(api.lists).To(BeNumerically("<=", 14), "few steps from half a day to a second")

	api.lists, query.Filter.End = 0, epoch.Add(3*time.Minute)
	page, err = query.Page(t.Context(), nil, 0, 50)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(page.Rows).To(HaveLen(50))
	g.Expect(page.Rows[0].Event.Name).To(Equal(events[3*60*50-1].Name))
	g.Expect(api.lists).To(Equal(1), "how far back fifty events go is remembered")
}

// Large events must not fill the memory of whoever answers.
func TestLargeEventsMakePagesShorter(t *testing.T) {
	const count, large = 100, 160 << 10
	for _, newest := range []bool{false, true} {
		g := NewWithT(t)
		var events []v1alpha1.AuditEvent
		for i := range count {
			made := event(epoch.Add(time.Duration(i)*time.Millisecond), i)
			made.Spec.Object = &runtime.RawExtension{Raw: []byte(`"` + strings.Repeat("x", large) + `"`)}
			events = append(events, made)
		}
		api := &fakeAPI{events: events[:count/2], chunks: []v1alpha1.AuditEventChunk{packed(t, slices.Clone(events[count/2:]))}}
		places := map[string][]Place{
			"cluster": {&Cluster{Reader: api, Namespace: "shop"}},
			"backlog": {&Backlog{Reader: api, Namespace: "operator", Trails: []string{"both"}}},
		}
		for where, wanted := range map[string][]v1alpha1.AuditEvent{"cluster": events[:count/2], "backlog": events[count/2:]} {
			query := &Query{Newest: newest, Places: places[where], MaxBytes: 1 << 20}
			var got []string
			for cursor := (*Cursor)(nil); ; {
				page, err := query.Page(t.Context(), cursor, 0, 1000)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(len(page.Rows)).To(And(BeNumerically(">", 0), BeNumerically("<=", 1<<20/large+1)))
				for _, row := range page.Rows {
					got = append(got, row.Event.Name)
				}
				if cursor = page.Next; cursor == nil {
					break
				}
			}
			g.Expect(got).To(Equal(wantedNames(wanted, &Filter{}, newest)), where)
		}
		g.Expect(api.largest).To(BeNumerically("<=", firstPage), "no list of the API server is large")

		held := &bestRows{span: Span{Newest: newest}, size: backlogPage}
		for i := range events {
			held.add(&Row{Event: &events[i]})
			g.Expect(held.bytes).To(BeNumerically("<=", 2*backlogBytes+2*large))
		}
		g.Expect(held.sorted()).To(HaveLen(backlogBytes/large), "and they are the first ones of all")
		g.Expect(held.rows[0].Event.Name).To(Equal(wantedNames(events, &Filter{}, newest)[0]))
	}
}

func TestSkippedRowsCount(t *testing.T) {
	g := NewWithT(t)
	events := manyEvents(rand.New(rand.NewPCG(1, 1)), 100)
	query := &Query{Places: []Place{&Cluster{Reader: &fakeAPI{events: events}, Namespace: "shop"}}}
	g.Expect(namesByPage(t, query, 30, 20)).To(Equal(wantedNames(events, &Filter{}, false)[30:]))
}

// Two trails' copies of a change are one row, on one page or two; one trail's events with the same id are two.
func TestCopiesOfOtherTrailsAppearOnce(t *testing.T) {
	g := NewWithT(t)
	var events []v1alpha1.AuditEvent
	for i := range 12 {
		copied := event(epoch.Add(time.Duration(i/2)*time.Second), i)
		copied.Spec.ID = fmt.Sprint("change-", i/2)
		events = append(events, copied)
	}
	again := event(epoch.Add(time.Minute), 100)
	again.Spec.ID, again.Spec.TrailRef.UID = "change-5", events[10].Spec.TrailRef.UID
	events = append(events, again)
	for _, limit := range []int{1, 3, 100} {
		query := &Query{Places: []Place{&Cluster{Reader: &fakeAPI{events: events}, Namespace: "shop"}}}
		g.Expect(namesByPage(t, query, 0, limit)).To(Equal([]string{
			events[0].Name, events[2].Name, events[4].Name, events[6].Name, events[8].Name, events[10].Name, again.Name,
		}))
	}
}

func TestPackedEventsAreFoundAmongTheOthers(t *testing.T) {
	for _, newest := range []bool{false, true} {
		g := NewWithT(t)
		events := manyEvents(rand.New(rand.NewPCG(7, 7)), 6000)
		api := &fakeAPI{events: slices.Concat(events[:500], events[3900:])}
		for first := 400; first < 4000; first += 300 { // The ends are in the cluster as well.
			api.chunks = append(api.chunks, packed(t, events[first:first+300]))
		}
		slices.Reverse(api.chunks)
		memory := NewMemory()
		query := &Query{Newest: newest, Places: []Place{
			&Cluster{Reader: api, Namespace: "shop"},
			&Backlog{Reader: api, Namespace: "operator", Trails: []string{"both"}, Memory: memory},
		}}
		g.Expect(namesByPage(t, query, 0, 6000)).To(Equal(wantedNames(events, &Filter{}, newest)))
		g.Expect(namesByPage(t, query, 0, 777)).To(Equal(wantedNames(events, &Filter{}, newest)))

		api.opened = 0
		query.Filter = Filter{Start: events[1000].Spec.Time.Time, End: events[1100].Spec.Time.Time, Kinds: []string{"project"}}
		g.Expect(namesByPage(t, query, 0, 50)).To(Equal(wantedNames(events, &query.Filter, newest)))
		g.Expect(api.opened).To(BeNumerically("<", 12), "chunks of other times are not unpacked again")
	}
}

func packed(t *testing.T, events []v1alpha1.AuditEvent) v1alpha1.AuditEventChunk {
	t.Helper()
	g := NewWithT(t)
	var writer chunk.Writer
	slices.SortFunc(events, func(x, y v1alpha1.AuditEvent) int { return cmp.Compare(x.Name, y.Name) })
	for i := range events {
		spec, err := json.Marshal(&events[i].Spec)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(writer.Add(&chunk.Entry{
			Namespace: "shop", Name: events[i].Name, ResourceVersion: uint64(i + 1), Outcome: events[i].Status.Outcome, Spec: spec,
		})).To(Succeed())
	}
	done, err := writer.Finish()
	g.Expect(err).NotTo(HaveOccurred())
	return v1alpha1.AuditEventChunk{
		ObjectMeta: metav1.ObjectMeta{
			Name: events[0].Name, UID: types.UID("chunk-" + events[0].Name), Labels: map[string]string{v1alpha1.TrailUIDLabel: "both"},
		},
		Spec: v1alpha1.AuditEventChunkSpec{
			FirstResourceVersion: fmt.Sprint(done.First), LastResourceVersion: fmt.Sprint(done.Last), Count: int64(done.Count),
			Encoding: v1alpha1.ChunkJSONLinesGzip, Checksum: done.Checksum, Data: done.Data,
		},
	}
}
