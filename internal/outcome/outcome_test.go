package outcome

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

var eventTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func head(action v1alpha1.Action, uid string) *recorded.Head {
	return &recorded.Head{
		Action:   action,
		Time:     metav1.NewMicroTime(eventTime),
		Resource: v1alpha1.ResourceReference{Resource: "configmaps", Name: "web", UID: uid, ResourceVersion: "7"},
	}
}

func seen(uid, version string) objects.Sight {
	return objects.Sight{Exists: true, Meta: objects.Meta{UID: types.UID(uid), ResourceVersion: version}}
}

// TestRead is what a consistent read of the object tells when no other event tells more.
func TestRead(t *testing.T) {
	digester := audit.NewDigester([]byte("key"))
	deleting := seen("u1", "8")
	deleting.Meta.DeletionTimestamp = &metav1.Time{Time: eventTime}
	later := seen("u9", "9")
	later.Meta.CreationTimestamp = metav1.NewTime(eventTime.Add(time.Second))
	earlier, recent := seen("u2", "5"), seen("u2", "5")
	earlier.Meta.CreationTimestamp = metav1.NewTime(eventTime.Add(-2 * time.Second))
	recent.Meta.CreationTimestamp = metav1.NewTime(eventTime.Add(-time.Second))
	with := func(s objects.Sight, value string) objects.Sight {
		s.Body = fmt.Appendf(nil, `{"data":{"a":%q}}`, value)
		return s
	}
	creation, deletion, eviction := head(v1alpha1.ActionCreate, "u1"), head(v1alpha1.ActionDelete, "u1"), head(v1alpha1.ActionDelete, "")
	creation.Resource.ResourceVersion = ""
	update, finalized := head(v1alpha1.ActionUpdate, "u1"), head(v1alpha1.ActionDelete, "u1")
	update.Evidence = []v1alpha1.Evidence{{Path: "/data/a", Was: digester.Digest("1"), Digest: digester.Digest("2")}}
	finalized.Evidence = []v1alpha1.Evidence{{Path: "/metadata/finalizers", Was: "x"}}
	hastened := head(v1alpha1.ActionDelete, "u1")
	hastened.Resource.DeletionTime = &metav1.Time{Time: eventTime.Add(30 * time.Second)}

	tests := map[string]struct {
		head    *recorded.Head
		seen    objects.Sight
		deletes bool
		want    v1alpha1.Outcome
	}{
		"created and there":                   {creation, seen("u1", "8"), true, v1alpha1.OutcomePersisted},
		"created, another is there":           {creation, seen("u2", "8"), true, v1alpha1.OutcomeNotPersisted},
		"created, not there":                  {creation, objects.Sight{}, true, v1alpha1.OutcomeNotPersisted},
		"created, not there, deletes unknown": {creation, objects.Sight{}, false, v1alpha1.OutcomeUnknown},
		"created, the name was taken":         {creation, earlier, false, v1alpha1.OutcomeNotPersisted},
		"created, made again within a second": {creation, recent, false, v1alpha1.OutcomeUnknown},
		"deleted and gone":                    {deletion, objects.Sight{}, true, v1alpha1.OutcomePersisted},
		"deleted and made again":              {deletion, seen("u2", "8"), true, v1alpha1.OutcomePersisted},
		"deleted, waiting for finalizers":     {deletion, deleting, true, v1alpha1.OutcomePersisted},
		"deleted, still there":                {deletion, seen("u1", "7"), true, v1alpha1.OutcomeNotPersisted},
		"deleted, there and changed":          {deletion, seen("u1", "8"), true, v1alpha1.OutcomeNotPersisted},
		"hastened and gone":                   {hastened, objects.Sight{}, true, v1alpha1.OutcomePersisted},
		"hastened":                            {hastened, deleting, true, v1alpha1.OutcomePersisted},
		"hastened, still what it was":         {hastened, seen("u1", "7"), true, v1alpha1.OutcomeNotPersisted},
		"evicted, still there":                {eviction, seen("u1", "7"), true, v1alpha1.OutcomeNotPersisted},
		"evicted, being deleted":              {eviction, deleting, true, v1alpha1.OutcomeUnknown},
		"evicted and made again":              {eviction, later, true, v1alpha1.OutcomeUnknown},
		"last finalizer removed":              {finalized, objects.Sight{}, true, v1alpha1.OutcomePersisted},
		"last finalizer not removed":          {finalized, deleting, true, v1alpha1.OutcomeNotPersisted},
		"updated and shown":                   {update, with(seen("u1", "8"), "2"), true, v1alpha1.OutcomePersisted},
		"updated, same version":               {update, with(seen("u1", "7"), "2"), true, v1alpha1.OutcomeNotPersisted},
		"updated, other writes only":          {update, with(seen("u1", "8"), "1"), true, v1alpha1.OutcomeUnknown},
		"updated and overwritten":             {update, with(seen("u1", "8"), "3"), true, v1alpha1.OutcomeUnknown},
		"updated and gone":                    {update, objects.Sight{}, true, v1alpha1.OutcomeUnknown},
		"updated, another is there":           {update, with(seen("u2", "9"), "2"), true, v1alpha1.OutcomeUnknown},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			j, _ := newJudge(&fakeObjects{consistent: test.seen, cachedErr: errAway})
			j.DeletesAreRecorded = func(*v1alpha1.ResourceReference) bool { return test.deletes }
			got := judgeAll(t.Context(), j, []recorded.Event{{Head: *test.head}}, nil)[0]
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
