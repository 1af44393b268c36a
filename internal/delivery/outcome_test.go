package delivery

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
)

var eventTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func head(action v1alpha1.Action, uid string) *Head {
	return &Head{
		Action:   action,
		Time:     metav1.NewMicroTime(eventTime),
		Resource: v1alpha1.ResourceReference{Resource: "configmaps", Name: "web", UID: uid, ResourceVersion: "7"},
	}
}

func seen(uid, version string) sight {
	return sight{exists: true, meta: metav1.ObjectMeta{UID: types.UID(uid), ResourceVersion: version}}
}

func TestDecide(t *testing.T) {
	deleting := seen("u1", "8")
	deleting.meta.DeletionTimestamp = &metav1.Time{Time: eventTime}
	later := seen("u9", "9")
	later.meta.CreationTimestamp = metav1.NewTime(eventTime.Add(time.Second))
	earlier, recent := seen("u2", "5"), seen("u2", "5")
	earlier.meta.CreationTimestamp = metav1.NewTime(eventTime.Add(-2 * time.Second))
	recent.meta.CreationTimestamp = metav1.NewTime(eventTime.Add(-time.Second))
	finalized := head(v1alpha1.ActionDelete, "u1")
	finalized.Evidence = []v1alpha1.Evidence{{Path: "/metadata/finalizers", Was: "x"}}

	tests := map[string]struct {
		head     *Head
		seen     sight
		sighting audit.Sighting
		deletes  bool
		want     v1alpha1.Outcome
	}{
		"created and there":                   {head(v1alpha1.ActionCreate, "u1"), seen("u1", "8"), 0, true, v1alpha1.OutcomePersisted},
		"created, another is there":           {head(v1alpha1.ActionCreate, "u1"), seen("u2", "8"), 0, true, v1alpha1.OutcomeNotPersisted},
		"created, not there":                  {head(v1alpha1.ActionCreate, "u1"), sight{}, 0, true, v1alpha1.OutcomeNotPersisted},
		"created, not there, deletes unknown": {head(v1alpha1.ActionCreate, "u1"), sight{}, 0, false, v1alpha1.OutcomeUnknown},
		"created, the name was taken":         {head(v1alpha1.ActionCreate, "u1"), earlier, 0, false, v1alpha1.OutcomeNotPersisted},
		"created, made again within a second": {head(v1alpha1.ActionCreate, "u1"), recent, 0, false, v1alpha1.OutcomeUnknown},
		"deleted and gone":                    {head(v1alpha1.ActionDelete, "u1"), sight{}, 0, true, v1alpha1.OutcomePersisted},
		"deleted and made again":              {head(v1alpha1.ActionDelete, "u1"), seen("u2", "8"), 0, true, v1alpha1.OutcomePersisted},
		"deleted, waiting for finalizers":     {head(v1alpha1.ActionDelete, "u1"), deleting, 0, true, v1alpha1.OutcomePersisted},
		"deleted, still there":                {head(v1alpha1.ActionDelete, "u1"), seen("u1", "7"), 0, true, v1alpha1.OutcomeNotPersisted},
		"evicted, still there":                {head(v1alpha1.ActionDelete, ""), seen("u1", "7"), 0, true, v1alpha1.OutcomeNotPersisted},
		"evicted and made again":              {head(v1alpha1.ActionDelete, ""), later, 0, true, v1alpha1.OutcomePersisted},
		"last finalizer removed":              {finalized, sight{}, 0, true, v1alpha1.OutcomePersisted},
		"last finalizer not removed":          {finalized, deleting, audit.SawBefore, true, v1alpha1.OutcomeNotPersisted},
		"updated and shown":                   {head(v1alpha1.ActionUpdate, "u1"), seen("u1", "8"), audit.SawAfter, true, v1alpha1.OutcomePersisted},
		"updated, same version":               {head(v1alpha1.ActionUpdate, "u1"), seen("u1", "7"), audit.SawAfter, true, v1alpha1.OutcomeNotPersisted},
		"updated, other writes only":          {head(v1alpha1.ActionUpdate, "u1"), seen("u1", "8"), audit.SawBefore, true, v1alpha1.OutcomeNotPersisted},
		"updated and overwritten":             {head(v1alpha1.ActionUpdate, "u1"), seen("u1", "8"), audit.SawNeither, true, v1alpha1.OutcomeUnknown},
		"updated and gone":                    {head(v1alpha1.ActionUpdate, "u1"), sight{}, 0, true, v1alpha1.OutcomeUnknown},
		"updated, another is there":           {head(v1alpha1.ActionUpdate, "u1"), seen("u2", "9"), audit.SawAfter, true, v1alpha1.OutcomeUnknown},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := decide(test.head, test.seen, test.sighting, test.deletes)
			NewWithT(t).Expect(got.Outcome).To(Equal(test.want))
		})
	}
}

func TestApplies(t *testing.T) {
	g := NewWithT(t)
	token := head(v1alpha1.ActionCreate, "u1")
	token.Resource.Subresource = "token"
	g.Expect(applies(head(v1alpha1.ActionConnect, ""))).To(BeFalse())
	g.Expect(applies(token)).To(BeFalse())
	g.Expect(applies(head(v1alpha1.ActionCreate, "u1"))).To(BeTrue())
	g.Expect(applies(head(v1alpha1.ActionDelete, ""))).To(BeTrue())
}

func TestLaterEventsProve(t *testing.T) {
	digester := audit.NewDigester([]byte("key"))
	write := func(action v1alpha1.Action, base, was, is string) *Event {
		e := &Event{Head: *head(action, "u1")}
		e.Head.Resource.ResourceVersion = base
		e.Head.Evidence = []v1alpha1.Evidence{{Path: "/data/a", Was: digester.Digest(was), Digest: digester.Digest(is)}}
		return e
	}
	deletion := func(base, value string) *Event {
		e := &Event{Head: *head(v1alpha1.ActionDelete, "u1")}
		e.Head.Resource.ResourceVersion = base
		e.Spec = jsontext.Value(fmt.Sprintf(`{"changes":[{"op":"remove","path":"","from":{"data":{"a":%q}}}]}`, value))
		return e
	}
	deleting := func(e *Event) *Event {
		e.Head.Resource.DeletionTime = &metav1.Time{Time: eventTime}
		return e
	}
	created := &Event{Head: *head(v1alpha1.ActionCreate, "u1")}
	created.Head.Resource.ResourceVersion = ""

	tests := map[string]struct {
		event *Event
		later *Event
		want  *ledger.Judgement
	}{
		"the next update saw it":               {write(v1alpha1.ActionUpdate, "7", "1", "2"), write(v1alpha1.ActionUpdate, "8", "2", "3"), &persisted},
		"the next update saw the old value":    {write(v1alpha1.ActionUpdate, "7", "1", "2"), write(v1alpha1.ActionUpdate, "8", "1", "3"), &notPersisted},
		"a concurrent update proves nothing":   {write(v1alpha1.ActionUpdate, "7", "1", "2"), write(v1alpha1.ActionUpdate, "7", "1", "3"), nil},
		"a later value proves nothing":         {write(v1alpha1.ActionUpdate, "7", "1", "2"), write(v1alpha1.ActionUpdate, "9", "5", "6"), nil},
		"the deleted object had it":            {write(v1alpha1.ActionUpdate, "7", "1", "2"), deletion("8", "2"), &persisted},
		"the deleted object did not":           {write(v1alpha1.ActionUpdate, "7", "1", "2"), deletion("8", "1"), &notPersisted},
		"what was deleted had been created":    {created, deletion("7", "1"), &persisted},
		"what is there later was not deleted":  {deletion("7", "1"), write(v1alpha1.ActionUpdate, "8", "1", "2"), &notPersisted},
		"a deletion that was tried again":      {deletion("7", "1"), deletion("8", "1"), &notPersisted},
		"what is being deleted later was":      {deletion("7", "1"), deleting(deletion("8", "1")), &persisted},
		"a concurrent deletion proves nothing": {deletion("7", "1"), deletion("7", "1"), nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			got, proven := decideByLater(digester, test.event, []*Event{test.later})
			if test.want == nil {
				g.Expect(proven).To(BeFalse())
				return
			}
			g.Expect(proven).To(BeTrue())
			g.Expect(got).To(Equal(*test.want))
		})
	}
}

func TestInboxFallsBehindRatherThanGrow(t *testing.T) {
	g := NewWithT(t)
	box := newInbox(2000)
	event := func(version uint64) *Event {
		return &Event{ResourceVersion: version, Spec: make(jsontext.Value, 400)}
	}
	box.offer(event(1))
	events, behind := box.take()
	g.Expect(events).To(BeEmpty(), "an inbox that was never followed takes nothing")
	g.Expect(behind).To(BeTrue())

	box.follow()
	for version := range uint64(5) {
		box.offer(event(version + 2))
	}
	events, behind = box.take()
	g.Expect(events).To(HaveLen(2))
	g.Expect(events[1].ResourceVersion).To(BeEquivalentTo(3))
	g.Expect(behind).To(BeTrue())
}
