package recorder

import (
	"testing"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// noteOn is alice's note on an event of the trail shop/quiet.
func noteOn(namespace string) *admissionv1.AdmissionRequest {
	const (
		event  = `{"metadata":{"name":"01x","uid":"u2","resourceVersion":"7"`
		spec   = `},"spec":{"trailRef":{"namespace":"shop","name":"quiet","uid":"shop-quiet"}}}`
		before = event + spec
		after  = event + `,"annotations":{"audit.trailkeeper.dev/note":"Ticket 7"}` + spec
	)
	return update(func(r *admissionv1.AdmissionRequest) {
		r.Kind = metav1.GroupVersionKind{Group: "audit.trailkeeper.dev", Version: "v1alpha1", Kind: "AuditEvent"}
		r.Resource = metav1.GroupVersionResource{Group: "audit.trailkeeper.dev", Version: "v1alpha1", Resource: "auditevents"}
		r.Namespace, r.Name = namespace, "01x"
		r.OldObject.Raw, r.Object.Raw = []byte(before), []byte(after)
	})
}

func quiet(trail *v1alpha1.AuditTrail) {
	trail.Spec.Rules = []v1alpha1.Rule{{Level: v1alpha1.LevelNone}}
}

func TestNotesAreRecordedByTheirTrail(t *testing.T) {
	// An event may have been moved to the operator's namespace.
	for _, namespace := range []string{"shop", operatorNamespace} {
		t.Run(namespace, func(t *testing.T) {
			g := NewWithT(t)
			r := newRig(newTrail("shop", "quiet", quiet), newTrail("shop", "other", quiet))

			response := r.askNote(t, noteOn(namespace))

			g.Expect(response.Allowed).To(BeTrue())
			g.Expect(r.store.events).To(HaveLen(1))
			event := r.store.events[0]
			g.Expect(event.Namespace).To(Equal("shop"))
			g.Expect(event.Spec.TrailRef.Name).To(Equal("quiet"))
			g.Expect(event.Spec.Action).To(Equal(v1alpha1.ActionUpdate))
			g.Expect(event.Spec.Resource.Kind).To(Equal("AuditEvent"))
			g.Expect(event.Spec.Resource.Name).To(Equal("01x"))
			g.Expect(event.Spec.Resource.UID).To(Equal("u2"))
			g.Expect(event.Spec.Note).To(Equal("Ticket 7"))
			g.Expect(event.Spec.Actor.Username).To(Equal("alice"))
		})
	}
}

func TestNotesAreRecordedOnce(t *testing.T) {
	g := NewWithT(t)
	// All three trails want the note by their rules.
	r := newRig(newTrail("shop", "quiet"), newTrail("shop", "other"), newTrail("shop", "strict", failing))

	r.ask(t, v1alpha1.FailurePolicyIgnore, noteOn("shop"))
	r.ask(t, v1alpha1.FailurePolicyFail, noteOn("shop"))
	r.askNote(t, noteOn("shop"))

	var trails []string
	for i := range r.store.events {
		trails = append(trails, r.store.events[i].Spec.TrailRef.Name)
	}
	g.Expect(trails).To(Equal([]string{"other", "strict", "quiet"}))
}

func TestNotesThatCannotBeRecordedAreRefused(t *testing.T) {
	g := NewWithT(t)
	r := newRig(newTrail("shop", "quiet", quiet))
	r.store.fail(errStore)

	response := r.askNote(t, noteOn("shop"))

	g.Expect(response.Allowed).To(BeFalse())
	g.Expect(response.Result.Message).To(ContainSubstring("shop/quiet must record this change"))
}

func TestOtherWritesAreNoNotes(t *testing.T) {
	g := NewWithT(t)
	r := newRig(newTrail("shop", "quiet"))
	for _, edit := range []func(*admissionv1.AdmissionRequest){
		func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Delete },
		func(r *admissionv1.AdmissionRequest) { r.SubResource = "status" },
		func(r *admissionv1.AdmissionRequest) { r.OldObject.Raw = []byte(`[]`) },
		func(r *admissionv1.AdmissionRequest) {
			r.OldObject.Raw = []byte(`{"spec":{"trailRef":{"uid":"gone"}}}`)
		},
	} {
		request := noteOn("shop")
		edit(request)
		g.Expect(r.askNote(t, request).Allowed).To(BeTrue())
	}
	g.Expect(r.store.events).To(BeEmpty())
}
