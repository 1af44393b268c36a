package attack

import (
	"context"
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// forged is an event of what alice never did.
func forged(namespace, name string) *v1alpha1.AuditEvent {
	return &v1alpha1.AuditEvent{
		ObjectMeta: named(namespace, name),
		Spec: v1alpha1.AuditEventSpec{
			ID: "0000000000000000000000000000000000000000000000000000000000000000", Time: metav1.NowMicro(), Action: v1alpha1.ActionDelete,
			TrailRef: v1alpha1.TrailReference{Namespace: project.Namespace, Name: project.Name, UID: string(project.UID)},
			Actor:    v1alpha1.Actor{Type: v1alpha1.ActorUser, Username: worker},
			Resource: v1alpha1.ResourceReference{Version: "v1", Resource: "secrets", Kind: "Secret", Namespace: shared, Name: "payroll"},
			Request:  &v1alpha1.RequestInfo{UID: "11111111-2222-3333-4444-555555555555"},
			Level:    v1alpha1.LevelMetadata,
		},
	}
}

// TestTheRecordStands: whoever may do everything in a namespace may not touch what is recorded there.
func TestTheRecordStands(t *testing.T) {
	event, second, third := work(t, project, shared), work(t, project, shared), work(t, project, shared)
	for _, each := range []*v1alpha1.AuditEvent{event, second, third} {
		unharmed(t, each)
	}
	updated := "Update auditevents " + event.Name
	const (
		made    = "AuditEvents are made by Trailkeeper only"
		deleted = "AuditEvents are deleted by Trailkeeper only"
		only    = "Of an AuditEvent only the annotation audit.trailkeeper.dev/note may be changed"
		status  = "The status of an AuditEvent is written by Trailkeeper only"
		fixed   = "an AuditEvent is immutable"
	)
	spec := event.DeepCopy()
	spec.Spec.Actor.Username = "bob"
	try(t, []attempt{
		{"delete an event", remove(event.DeepCopy()), deleted, "Delete auditevents " + event.Name},
		{"delete all events of a trail", func(ctx context.Context) error {
			return mallory.DeleteAllOf(ctx, &v1alpha1.AuditEvent{}, client.InNamespace(shared), client.MatchingFields{v1alpha1.FieldResourceName: second.Spec.Resource.Name})
		}, deleted, "Delete auditevents " + second.Name},
		{"delete in the foreground", func(ctx context.Context) error {
			return mallory.Delete(ctx, third.DeepCopy(), client.PropagationPolicy(metav1.DeletePropagationForeground))
		}, deleted, "Delete auditevents " + third.Name},
		{"rewrite an event", func(ctx context.Context) error { return mallory.Update(ctx, spec) }, fixed, updated},
		{"forge an event", create(forged(shared, "forged")), made, "Create auditevents forged"},
		{"forge an event by apply", func(ctx context.Context) error { return apply(ctx, mallory, forged(shared, "applied")) }, made, "Create auditevents applied"},
		{"judge an event", func(ctx context.Context) error {
			judged := event.DeepCopy()
			judged.Status.Outcome = v1alpha1.OutcomeNotPersisted
			return mallory.Status().Update(ctx, judged)
		}, status, "Update auditevents/status " + event.Name},
		{"judge by patch", func(ctx context.Context) error {
			return mallory.Status().Patch(ctx, event.DeepCopy(), client.RawPatch("application/merge-patch+json",
				[]byte(`{"status":{"outcome":"Unknown"}}`)))
		}, status, "Update auditevents/status " + event.Name},
		{"move an event to another trail", merge(event.DeepCopy(), `{"metadata":{"labels":{"audit.trailkeeper.dev/trail":"none"}}}`), only, updated},
		{"have an event collected with an owner", merge(event.DeepCopy(),
			`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"`+string(project.UID)+`"}]}}`), only, updated},
		{"keep an event from being pruned", merge(event.DeepCopy(), `{"metadata":{"finalizers":["example.com/keep"]}}`), only, updated},
		{"say that an event was late", merge(event.DeepCopy(),
			`{"metadata":{"annotations":{"audit.trailkeeper.dev/kept-locally":"true"}}}`), only, updated},
		{"forge a chunk", create(chunk(shared)), "AuditEventChunks are Trailkeeper's own", "Create auditeventchunks forged"},
	})
}

// TestATrailsStatusStands: a cursor that somebody else moved would make events count as pushed, and they would be pruned.
func TestATrailsStatusStands(t *testing.T) {
	g := NewWithT(t)
	const status = "The status of an AuditTrail is written by Trailkeeper only"
	moved := `{"status":{"delivery":{"resourceVersion":"999999999","sequence":7}}}`
	planted := clusterOnly(shared, "with-a-status")
	planted.Status.Delivery = &v1alpha1.DeliveryStatus{ResourceVersion: "999999999"}
	try(t, []attempt{
		{"move the cursor", func(ctx context.Context) error {
			return mallory.Status().Patch(ctx, project.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(moved)))
		}, status, "Update audittrails/status project"},
		{"move the cursor by apply", func(ctx context.Context) error {
			object := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"externalID": "mine"}}}
			object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("AuditTrail"))
			object.SetNamespace(shared)
			object.SetName(project.Name)
			return mallory.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner(attacker), client.ForceOwnership)
		}, status, "Update audittrails/status project"},
		{"make a trail with a status", create(planted), "", "Create audittrails with-a-status"},
		{"move the cursor beside the spec", merge(planted.DeepCopy(), moved), "", ""},
	})
	g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(planted), planted)).To(Succeed())
	if planted.Status.Delivery != nil {
		g.Expect(planted.Status.Delivery.ResourceVersion).NotTo(Equal("999999999"), "only the operator's word counts")
	}
	g.Expect(mallory.Delete(t.Context(), planted)).To(Succeed())
}

// TestANoteTellsWhoWroteIt: it is all that the attacker may add to the record, in the attacker's own name.
func TestANoteTellsWhoWroteIt(t *testing.T) {
	g := NewWithT(t)
	event := work(t, project, shared)
	ofProject, ofTenant := told(t, project), told(t, tenant)
	g.Expect(merge(event.DeepCopy(), `{"metadata":{"annotations":{"audit.trailkeeper.dev/note":"It was bob"}}}`)(t.Context())).To(Succeed())
	for _, tells := range []func() []string{ofProject, ofTenant} {
		g.Expect(tells()).To(Equal([]string{"Update auditevents " + event.Name + ": It was bob"}))
	}
}

func apply(ctx context.Context, c client.Client, event *v1alpha1.AuditEvent) error {
	event.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("AuditEvent"))
	content, err := toUnstructured(event)
	if err != nil {
		return err
	}
	return c.Apply(ctx, client.ApplyConfigurationFromUnstructured(content), client.FieldOwner(attacker))
}
