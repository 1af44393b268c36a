package recorder

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
)

const (
	gc         = "system:serviceaccount:kube-system:generic-garbage-collector"
	namespaces = "system:serviceaccount:kube-system:namespace-controller"
	deployment = "system:serviceaccount:kube-system:deployment-controller"
	app        = "system:serviceaccount:shop:operator"
)

// step is a change of an object, whose owner controls it or only owns it.
type step struct {
	by        string
	operation admissionv1.Operation
	uid       string
	owner     string
	controls  bool
}

func (s step) request() *admissionv1.AdmissionRequest {
	return update(func(r *admissionv1.AdmissionRequest) {
		r.Operation = s.operation
		r.UserInfo.Username = s.by
		r.UID = types.UID(fmt.Sprint(s))
		owners := ""
		if s.owner != "" {
			owners = fmt.Sprintf(`,"ownerReferences":[{"uid":"other"},{"uid":%q,"controller":%v}]`, s.owner, s.controls)
		}
		before := fmt.Sprintf(`{"metadata":{"name":"x","uid":%q,"resourceVersion":"7"%s},"data":{"a":"1"}}`, s.uid, owners)
		after := fmt.Sprintf(`{"metadata":{"name":"x","uid":%q,"resourceVersion":"7"%s},"data":{"a":"2"}}`, s.uid, owners)
		r.OldObject.Raw, r.Object.Raw = []byte(before), []byte(after)
		switch s.operation {
		case admissionv1.Create:
			r.OldObject.Raw = nil
		case admissionv1.Delete:
			r.Object.Raw = nil
		default:
		}
	})
}

func TestCauses(t *testing.T) {
	everything := func(trail *v1alpha1.AuditTrail) { trail.Spec.Rules = []v1alpha1.Rule{{Level: v1alpha1.LevelMetadata}} }
	for name, test := range map[string]struct {
		steps []step
		// pause before the last step.
		pause time.Duration
		// reason of the last step's cause, and which step it is.
		reason v1alpha1.CauseReason
		cause  int
	}{
		"garbage collection": {[]step{
			{"alice", "DELETE", "d1", "", false}, {gc, "DELETE", "r1", "d1", false},
		}, 0, "GarbageCollection", 0},
		"garbage collection of what was collected": {[]step{
			{"alice", "DELETE", "d1", "", false}, {gc, "DELETE", "r1", "d1", true}, {gc, "DELETE", "p1", "r1", true},
		}, 0, "GarbageCollection", 1},
		"a controller's creation": {[]step{
			{"alice", "UPDATE", "d1", "", false}, {deployment, "CREATE", "r1", "d1", true},
		}, 0, "OwnerReference", 0},
		"the controller's bookkeeping is not the cause": {[]step{
			{"alice", "UPDATE", "d1", "", false}, {deployment, "UPDATE", "d1", "", false}, {deployment, "UPDATE", "r1", "d1", true},
		}, 0, "OwnerReference", 0},
		"what a controller began by itself": {[]step{
			{deployment, "CREATE", "j1", "cron", true}, {deployment, "CREATE", "p1", "j1", true},
		}, 0, "OwnerReference", 0},
		"an owner that does not control": {[]step{
			{"alice", "UPDATE", "d1", "", false}, {deployment, "CREATE", "r1", "d1", false},
		}, 0, "", 0},
		"another operator's creation": {[]step{
			{"alice", "UPDATE", "d1", "", false}, {app, "CREATE", "r1", "d1", true},
		}, 0, "OwnerReference", 0},
		"a service account's own change": {[]step{
			{"alice", "UPDATE", "d1", "", false}, {app, "UPDATE", "r1", "d1", true},
		}, 0, "", 0},
		"a person's change": {[]step{
			{"alice", "UPDATE", "d1", "", false}, {"bob", "DELETE", "r1", "d1", true},
		}, 0, "", 0},
		"long ago": {[]step{
			{"alice", "UPDATE", "d1", "", false}, {deployment, "CREATE", "r1", "d1", true},
		}, 6 * time.Minute, "", 0},
		"another owner": {[]step{
			{"alice", "UPDATE", "d2", "", false}, {deployment, "CREATE", "r1", "d1", true},
		}, 0, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			r := newRig(newTrail("shop", "a", everything), newTrail("other", "b", everything))
			for i, step := range test.steps {
				if i == len(test.steps)-1 {
					r.clock.SetTime(r.clock.Now().Add(test.pause))
				}
				r.ask(t, v1alpha1.FailurePolicyIgnore, step.request())
				g.Expect(r.store.events).To(HaveLen(i + 1))
				r.clock.SetTime(r.clock.Now().Add(time.Second))
			}
			cause := r.store.events[len(r.store.events)-1].Spec.Cause
			if test.reason == "" {
				g.Expect(cause).To(BeNil())
				return
			}
			g.Expect(cause).To(Equal(&v1alpha1.Cause{Reason: test.reason, Event: "shop/" + r.store.events[test.cause].Name}))
		})
	}
}

func TestCauseOfAnEviction(t *testing.T) {
	g := NewWithT(t)
	r := newRig(newTrail("shop", "a"))
	r.store.pod = []byte(`{"metadata":{"name":"web-0","namespace":"shop","uid":"p1","resourceVersion":"7"}}`)
	r.ask(t, v1alpha1.FailurePolicyIgnore, update(func(r *admissionv1.AdmissionRequest) {
		r.Operation, r.SubResource, r.OldObject.Raw = admissionv1.Create, "eviction", nil
		r.Resource = metav1.GroupVersionResource{Version: "v1", Resource: "pods"}
	}))
	g.Expect(r.store.events[0].Spec.Cause).To(Equal(&v1alpha1.Cause{Reason: v1alpha1.CauseEviction}))
}

func TestCauseOfTheWipeOfANamespace(t *testing.T) {
	g := NewWithT(t)
	r := newRig(newTrail(operatorNamespace, "a"))
	r.ask(t, v1alpha1.FailurePolicyIgnore, update(func(r *admissionv1.AdmissionRequest) {
		r.Operation, r.Object.Raw, r.Name = admissionv1.Delete, nil, "shop"
		r.Resource = metav1.GroupVersionResource{Version: "v1", Resource: "namespaces"}
		r.OldObject.Raw = []byte(`{"metadata":{"name":"shop","uid":"n1"},"spec":{"finalizers":["kubernetes"]}}`)
	}))
	r.clock.SetTime(r.clock.Now().Add(time.Second))
	r.ask(t, v1alpha1.FailurePolicyIgnore, step{namespaces, "DELETE", "c1", "", false}.request())
	g.Expect(r.store.events[1].Spec.Cause).To(Equal(&v1alpha1.Cause{
		Reason: v1alpha1.CauseNamespaceDeletion, Event: operatorNamespace + "/" + r.store.events[0].Name,
	}))
}

func TestCausesAreBounded(t *testing.T) {
	g := NewWithT(t)
	clock := clocktesting.NewFakePassiveClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	causes := newCauses(clock)
	for i := range 2 * maxCauses {
		causes.remember("t", []string{fmt.Sprint(i), "same"}, types.NamespacedName{Name: "x"}, true)
	}
	g.Expect(len(causes.order)).To(BeNumerically("<=", maxCauses))
	g.Expect(len(causes.events)).To(BeNumerically("<=", maxCauses))
	g.Expect(causes.find("t", audit.Origin{Reason: v1alpha1.CauseOwnerReference, Subjects: []string{"0"}})).To(BeNil())
	clock.SetTime(clock.Now().Add(causeFor))
	causes.remember("t", nil, types.NamespacedName{}, true)
	g.Expect(causes.events).To(BeEmpty())
}
