package truth

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// request is a request for the ConfigMap "web" and its answer, some seconds after the start.
func request(second int, user, verb string, code int, answer string) testenv.AuditEntry {
	at := start.Add(time.Duration(second) * time.Second)
	return testenv.AuditEntry{
		Verb: verb, User: testenv.AuditUser{Username: user},
		ObjectRef:                testenv.AuditObject{Resource: "configmaps", Namespace: "shop", Name: "web"},
		ResponseStatus:           testenv.AuditStatus{Code: code},
		ResponseObject:           json.RawMessage(answer),
		RequestReceivedTimestamp: at, StageTimestamp: at.Add(10 * time.Millisecond),
	}
}

// object is the ConfigMap of a version; more is what else its metadata has.
func object(version int, value, more string) string {
	return fmt.Sprintf(`{"kind":"ConfigMap","metadata":{"name":"web","uid":"u1","resourceVersion":"%d"%s},"data":{"a":%q}}`, version, more, value)
}

const (
	held  = `,"finalizers":["example.com/held"]`
	going = `,"deletionTimestamp":"2026-03-01T12:00:20Z","deletionGracePeriodSeconds":0`
)

func life() []testenv.AuditEntry {
	return []testenv.AuditEntry{
		request(1, "alice", "create", 201, object(5, "1", held)),
		request(2, "alice", "patch", 200, object(5, "1", held)),                                   // no difference
		request(3, "bob", "patch", 200, object(6, "1", held+`,"managedFields":[{}]`)),             // bookkeeping only
		request(4, "bob", "update", 200, object(7, "2", held)),                                    //
		request(5, "bob", "update", 409, `{"kind":"Status"}`),                                     // refused
		request(20, "alice", "delete", 200, object(8, "2", held+going)),                           //
		request(30, "bob", "delete", 200, object(8, "2", held+going)),                             // again
		request(40, "system:serviceaccount:gc", "patch", 200, object(8, "2", going)),              // the last finalizer
		request(50, "bob", "patch", 404, `{"kind":"Status"}`),                                     //
		request(60, "bob", "deletecollection", 500, `{"kind":"Status"}`),                          // nobody knows
		request(70, "alice", "create", 201, `{"metadata":{"name":"web","uid":"u2"}}`),             //
		request(80, "alice", "delete", 200, `{"kind":"Status","details":{"uid":"u2","name":""}}`), //
	}
}

func TestRead(t *testing.T) {
	g := NewWithT(t)
	facts, err := Read(life())
	g.Expect(err).NotTo(HaveOccurred())
	var sure []string
	for i := range facts {
		if facts[i].Doubt == "" {
			sure = append(sure, fmt.Sprintf("%s %s %s %d-%d", facts[i].Users[0], facts[i].Action, facts[i].UID, facts[i].Before, facts[i].After))
		}
	}
	g.Expect(sure).To(Equal([]string{
		"alice Create u1 0-0", "bob Update u1 6-7", "alice Delete u1 0-0", "system:serviceaccount:gc Delete u1 7-8",
		"alice Create u2 0-0", "alice Delete u2 0-0",
	}))
}

// TestAnUpdateOfWhatAnotherWrote: a deletecollection wrote version 6, which its answer does not show.
func TestAnUpdateOfWhatAnotherWrote(t *testing.T) {
	g := NewWithT(t)
	update := request(2, "bob", "update", 200, object(6, "1", held+going))
	update.RequestObject = json.RawMessage(object(6, "1", held+going))
	log := []testenv.AuditEntry{request(1, "alice", "create", 201, object(5, "1", "")), update}
	facts, err := Read(log)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(facts).To(HaveLen(1), "the update wrote nothing")

	log[1].RequestObject = json.RawMessage(object(5, "1", ""))
	facts, err = Read(log)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(facts).To(HaveLen(2))
}

// TestMetadataAlone: who asks for it is shown it alone, and the rest is what it was.
func TestMetadataAlone(t *testing.T) {
	g := NewWithT(t)
	part := `{"kind":"PartialObjectMetadata","metadata":{"name":"web","uid":"u1","resourceVersion":"6"}}`
	facts, err := Read([]testenv.AuditEntry{
		request(1, "alice", "create", 201, object(5, "1", held)),
		request(2, "gc", "patch", 200, part),
		request(3, "bob", "patch", 200, object(7, "1", `,"managedFields":[{}]`)), // bookkeeping only
		request(4, "bob", "patch", 200, object(8, "2", "")),
	})
	g.Expect(err).NotTo(HaveOccurred())
	var after []uint64
	for i := range facts {
		after = append(after, facts[i].After)
	}
	g.Expect(after).To(Equal([]uint64{0, 6, 8}))
}

// claim is an event of the ConfigMap u1.
func claim(second int, user string, action v1alpha1.Action, base string, outcome v1alpha1.Outcome) Claim {
	return Claim{Event: fmt.Sprint(second), Outcome: outcome, Spec: &v1alpha1.AuditEventSpec{
		Action: action, Actor: v1alpha1.Actor{Username: user}, Time: metav1.NewMicroTime(start.Add(time.Duration(second) * time.Second)),
		Resource: v1alpha1.ResourceReference{Resource: "configmaps", Namespace: "shop", Name: "web", UID: "u1", ResourceVersion: base},
	}}
}

func TestCompare(t *testing.T) {
	all := func() []Claim {
		return []Claim{
			claim(1, "alice", v1alpha1.ActionCreate, "", ""),
			claim(4, "bob", v1alpha1.ActionUpdate, "6", v1alpha1.OutcomeUnknown),
			claim(5, "bob", v1alpha1.ActionUpdate, "7", v1alpha1.OutcomeNotPersisted),
			claim(20, "alice", v1alpha1.ActionDelete, "7", ""),
		}
	}
	tests := map[string]struct {
		claims []Claim
		want   string
	}{
		"as it was":            {all(), "truth=4 missed=1 extra=0 duplicated=0"},
		"one is missing":       {all()[1:], "truth=4 missed=2 extra=0 duplicated=0"},
		"one is there twice":   {append(all(), claim(4, "bob", v1alpha1.ActionUpdate, "6", "")), "truth=4 missed=1 extra=0 duplicated=1"},
		"of a refused request": {append(all(), claim(5, "bob", v1alpha1.ActionUpdate, "7", "")), "truth=4 missed=1 extra=1 duplicated=0"},
		"of another version": {
			append(all()[2:], all()[0], claim(4, "bob", v1alpha1.ActionUpdate, "7", "")), "truth=4 missed=2 extra=1 duplicated=0",
		},
		"by somebody else": {append(all()[1:], claim(1, "bob", v1alpha1.ActionCreate, "", "")), "truth=4 missed=2 extra=1 duplicated=0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			facts, err := Read(life()[:10])
			g.Expect(err).NotTo(HaveOccurred())
			d := Compare(facts, test.claims)
			g.Expect(d.Summary()).To(Equal(test.want), d.Details(10))
		})
	}
}

// TestADeletionThatChangesWhatBecomesOfDependents is one more change, though the object is to be deleted at the same time as before.
func TestADeletionThatChangesWhatBecomesOfDependents(t *testing.T) {
	for name, test := range map[string]struct {
		finalizers string
		sure       int
	}{
		"it changes that":    {`,"finalizers":["foregroundDeletion"]`, 3},
		"it changes nothing": {`,"finalizers":["orphan"]`, 2},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			facts, err := Read([]testenv.AuditEntry{
				request(1, "alice", "create", 201, object(5, "1", "")),
				request(20, "alice", "delete", 200, object(6, "1", `,"finalizers":["orphan"]`+going)),
				request(21, "bob", "delete", 200, object(7, "1", test.finalizers+going)),
			})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(facts).To(HaveLen(test.sure))
		})
	}
}

// TestWhatTheLogCannotTell: of some changes it does not show who made them, and nobody can.
func TestWhatTheLogCannotTell(t *testing.T) {
	tests := map[string]struct {
		entries []testenv.AuditEntry
		sure    int
	}{
		"its creation was not logged": {[]testenv.AuditEntry{request(2, "bob", "patch", 200, object(6, "2", ""))}, 0},
		"somebody else's request failed on its way": {[]testenv.AuditEntry{
			request(1, "alice", "create", 201, object(5, "1", "")),
			request(2, "alice", "update", 500, `{"kind":"Status"}`),
			request(3, "bob", "patch", 200, object(6, "2", "")),
		}, 1},
		"that was before the last version": {[]testenv.AuditEntry{
			request(1, "alice", "update", 500, `{"kind":"Status"}`),
			request(2, "alice", "create", 201, object(5, "1", "")),
			request(3, "bob", "patch", 200, object(6, "2", "")),
		}, 2},
		"a request that failed may have deleted it first": {[]testenv.AuditEntry{
			request(1, "alice", "create", 201, object(5, "1", held)),
			request(20, "bob", "deletecollection", 400, `{"kind":"Status"}`),
			request(20, "alice", "delete", 200, object(8, "1", held+going)),
		}, 1},
		"a request for many objects may have deleted it first": {[]testenv.AuditEntry{
			request(1, "alice", "create", 201, object(5, "1", held)),
			request(20, "bob", "deletecollection", 200, `{"items":[`+object(5, "1", held)+`]}`),
			request(20, "alice", "delete", 200, object(8, "1", held+going)),
		}, 1},
		"a request for others": {[]testenv.AuditEntry{
			request(1, "alice", "create", 201, object(5, "1", held)),
			request(20, "bob", "deletecollection", 200, `{"items":[]}`),
			request(20, "alice", "delete", 200, object(8, "1", held+going)),
		}, 2},
		"that failed long before": {[]testenv.AuditEntry{
			request(1, "alice", "create", 201, object(5, "1", held)),
			request(10, "bob", "deletecollection", 400, `{"kind":"Status"}`),
			request(20, "alice", "delete", 200, object(8, "1", held+going)),
		}, 2},
		"somebody deletes what an update may have removed": {[]testenv.AuditEntry{
			request(1, "alice", "create", 201, object(5, "1", held)),
			request(20, "alice", "delete", 200, object(8, "1", held+going)),
			request(40, "bob", "patch", 200, object(8, "1", going)),
			request(40, "system:node:n", "delete", 200, object(9, "1", going)),
		}, 2},
		"after an update removed it": {[]testenv.AuditEntry{
			request(1, "alice", "create", 201, object(5, "1", held)),
			request(20, "alice", "delete", 200, object(8, "1", held+going)),
			request(40, "bob", "patch", 200, object(8, "1", going)),
			request(50, "system:node:n", "delete", 200, object(9, "1", going)),
		}, 3},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			facts, err := Read(test.entries)
			g.Expect(err).NotTo(HaveOccurred())
			sure := 0
			for i := range facts {
				if facts[i].Doubt == "" {
					sure++
				}
			}
			g.Expect(sure).To(Equal(test.sure))
		})
	}
}

// TestTheKubeletMayHaveEndedIt: of two who end an object at the same time the log shows one.
func TestTheKubeletMayHaveEndedIt(t *testing.T) {
	for second, want := range map[int][]string{30: {"the kubelet ended the pod at the same time"}, 31: nil} {
		g := NewWithT(t)
		facts, err := Read([]testenv.AuditEntry{
			request(1, "alice", "create", 201, object(5, "1", "")),
			request(20, "alice", "delete", 200, object(8, "1", going)),
			request(30, "system:node:n", "delete", 200, object(9, "1", going)),
			request(second, "bob", "delete", 200, object(9, "1", going)),
		})
		g.Expect(err).NotTo(HaveOccurred())
		var doubts []string
		for i := range facts {
			if facts[i].Entry.User.Username == "bob" {
				doubts = append(doubts, facts[i].Doubt)
			}
		}
		g.Expect(doubts).To(Equal(want), "%d", second)
	}
}

// TestABindingDoesNotShowItsPod: the next request may show what it left, and change nothing.
func TestABindingDoesNotShowItsPod(t *testing.T) {
	g := NewWithT(t)
	of := func(entry testenv.AuditEntry, subresource string) testenv.AuditEntry {
		entry.ObjectRef.Resource, entry.ObjectRef.Subresource = "pods", subresource
		return entry
	}
	for code, doubted := range map[int]bool{201: true, 400: false} {
		facts, err := Read([]testenv.AuditEntry{
			of(request(1, "alice", "create", 201, object(5, "1", "")), ""),
			of(request(2, "bob", "create", code, `{"kind":"Status"}`), "binding"),
			of(request(3, "alice", "patch", 200, object(7, "2", "")), ""),
		})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(facts[len(facts)-1].Doubt != "").To(Equal(doubted), "%+v", facts)
	}
}
