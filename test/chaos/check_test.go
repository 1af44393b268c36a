package chaos

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/gomega"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
)

// events are the trail's AuditEvents, by name.
func (w *world) events(g Gomega) map[string]*v1alpha1.AuditEvent {
	var list v1alpha1.AuditEventList
	g.Expect(w.admin.List(w.t.Context(), &list, client.InNamespace(namespace))).To(Succeed())
	events := map[string]*v1alpha1.AuditEvent{}
	for i := range list.Items {
		events[list.Items[i].Name] = &list.Items[i]
	}
	return events
}

// record is what a delivered record shows.
type record struct {
	sequence   int64
	hash, name string
	spec       v1alpha1.AuditEventSpec
}

// tally is what arrived.
type tally struct {
	// records are the distinct ones, in order.
	records []record
	// repeated are records that came again, identical in what is hashed.
	repeated int
	// missing are the sequence numbers that did not come.
	missing []int64
}

// arrived reads the stream. It fails when a record was changed, came again with another content, or came before an earlier one.
func (w *world) arrived(g Gomega) tally {
	var links []ledger.Link
	for _, event := range slices.Concat(w.kept, w.aws.Events(region, group, w.trail.Status.LogStreamName)) {
		link, err := ledger.ReadLink([]byte(event.Message))
		g.Expect(err).NotTo(HaveOccurred())
		links = append(links, link)
	}
	if w.restamped {
		slices.SortStableFunc(links, func(a, b ledger.Link) int { return cmp.Compare(a.Sequence, b.Sequence) })
	}
	seen := map[int64]string{}
	var t tally
	head := ledger.Genesis(string(w.trail.UID))
	for _, link := range links {
		if hash, ok := seen[link.Sequence]; ok {
			g.Expect(link.Hash).To(Equal(hash), "record %d came twice with different content", link.Sequence)
			t.repeated++
			continue
		}
		g.Expect(link.Sequence).To(BeNumerically(">", head.Sequence), "record %d came after record %d", link.Sequence, head.Sequence)
		for missing := head.Sequence + 1; missing < link.Sequence; missing++ {
			t.missing = append(t.missing, missing)
		}
		if link.Sequence == head.Sequence+1 {
			g.Expect(link.PreviousHash).To(Equal(head.Hash), "record %d does not follow the one before it", link.Sequence)
		}
		head = ledger.Head{Sequence: link.Sequence, Hash: link.Hash}
		seen[link.Sequence] = link.Hash
		t.records = append(t.records, decode(g, &link))
	}
	return t
}

func decode(g Gomega, link *ledger.Link) record {
	var event struct {
		Metadata struct{ Name string }
		Spec     v1alpha1.AuditEventSpec
	}
	g.Expect(json.Unmarshal(link.Event, &event)).To(Succeed())
	return record{link.Sequence, link.Hash, event.Metadata.Name, event.Spec}
}

// expectAll waits until every change has its one record, but for what the destination refused, and compares each record with its
// AuditEvent. It returns the names of the refused changes.
func (w *world) expectAll(refused int) []string {
	w.t.Helper()
	g := NewWithT(w.t)
	var got tally
	var without []string
	g.Eventually(func(g Gomega) {
		got = w.arrived(g)
		without = w.withoutRecord(g, got.records)
		g.Expect(without).To(HaveLen(refused), "changes without a record, of %d: %.500s", len(w.made), strings.Join(without, " "))
	}).WithTimeout(patience).WithPolling(time.Second).Should(Succeed())
	g.Expect(got.missing).To(HaveLen(refused))

	events := w.events(g)
	for i := range got.records {
		event := events[got.records[i].name]
		if event == nil && w.packed {
			continue // What was packed is not among the AuditEvents any more; its hash is all that there is to compare.
		}
		g.Expect(event).NotTo(BeNil(), "record %d is of no AuditEvent", got.records[i].sequence)
		g.Expect(apiequality.Semantic.DeepEqual(got.records[i].spec, event.Spec)).To(BeTrue(), "record %d was changed", got.records[i].sequence)
	}
	w.t.Logf("%d changes, %d records: lost %d, changed 0, out of order 0, repeated %d, refused for good %d",
		len(w.made), len(got.records), len(without)-refused, got.repeated, refused)
	return without
}

// withoutRecord are the changes that have no record. It fails when one has two.
func (w *world) withoutRecord(g Gomega, records []record) []string {
	count := map[string]int{}
	for i := range records {
		count[records[i].spec.Resource.Name]++
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var without []string
	for _, name := range w.made {
		g.Expect(count[name]).To(BeNumerically("<", 2), fmt.Sprintf("%s has several records", name))
		if count[name] == 0 {
			without = append(without, name)
		}
	}
	return without
}

// rejected is what the trail's status counts.
func (w *world) expectRejected(count int64) {
	w.t.Helper()
	NewWithT(w.t).Eventually(func(g Gomega) {
		g.Expect(w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(w.trail), w.trail)).To(Succeed())
		g.Expect(w.trail.Status.Delivery.Rejected).To(Equal(count))
	}).WithTimeout(patience).WithPolling(time.Second).Should(Succeed())
}

// removeStream deletes the stream, and keeps what it had.
func (w *world) removeStream() {
	w.kept = append(w.kept, w.aws.RemoveStream(region, group, w.trail.Status.LogStreamName)...)
}
