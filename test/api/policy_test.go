package api_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// waitForPolicies waits until the API server acts on the policies: an administrator can no longer make an event.
func waitForPolicies(t *testing.T) {
	t.Helper()
	admin := clientOf(t, env.Admin())
	NewWithT(t).Eventually(t.Context(), func() error {
		return admin.Create(t.Context(), event("forged"), client.DryRunAll)
	}).WithTimeout(patience).Should(MatchError(ContainSubstring("AuditEvents are made by Trailkeeper only")))
}

func TestOnlyTheOperatorDeletesEvents(t *testing.T) {
	g := NewWithT(t)
	waitForPolicies(t)
	created := createEvent(t, "undeletable")
	admin := clientOf(t, env.Admin())

	err := admin.Delete(t.Context(), created)
	g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "got %v", err)
	g.Expect(err).To(MatchError(ContainSubstring("lower spec.retention of their AuditTrail")))
	all := &unstructured.Unstructured{}
	all.SetGroupVersionKind(created.GroupVersionKind())
	err = admin.DeleteAllOf(t.Context(), all, client.InNamespace("default"))
	g.Expect(err).To(MatchError(ContainSubstring("AuditEvents are deleted by Trailkeeper only")))
	g.Expect(eventNames(t, admin)).To(ContainElement("undeletable"))
}

func TestADeletedNamespaceTakesItsEventsAlong(t *testing.T) {
	g := NewWithT(t)
	waitForPolicies(t)
	admin := clientOf(t, env.Admin())
	namespace := &unstructured.Unstructured{}
	namespace.SetAPIVersion("v1")
	namespace.SetKind("Namespace")
	namespace.SetName("short-lived")
	g.Expect(admin.Create(t.Context(), namespace)).To(Succeed())
	lost := event("lost")
	lost.SetNamespace("short-lived")
	g.Expect(operatorClient(t).Create(t.Context(), lost)).To(Succeed())

	g.Expect(admin.Delete(t.Context(), namespace)).To(Succeed())

	g.Eventually(t.Context(), func() bool {
		return apierrors.IsNotFound(admin.Get(t.Context(), client.ObjectKeyFromObject(namespace), namespace.DeepCopy()))
	}).WithTimeout(patience).Should(BeTrue(), "the namespace should go")
}

func TestOnlyTheNoteOfAnEventChanges(t *testing.T) {
	waitForPolicies(t)
	created := edit{"metadata.labels": map[string]any{v1alpha1.TrailLabel: "audit"}}.apply(t, event("noted"))
	operator := operatorClient(t)
	NewWithT(t).Expect(operator.Create(t.Context(), created)).To(Succeed())
	t.Cleanup(func() { NewWithT(t).Expect(operator.Delete(withoutCancel(t), created)).To(Succeed()) })
	const only = "Of an AuditEvent only the annotation audit.trailkeeper.dev/note may be changed"
	const length = "has 3 to 255 characters"
	note := func(text string) map[string]any { return map[string]any{v1alpha1.NoteAnnotation: text} }
	admin := clientOf(t, env.Admin())
	for name, test := range map[string]struct {
		change edit
		// want is empty when the change is allowed.
		want string
	}{
		"shortest note":     {edit{"metadata.annotations": note("why")}, ""},
		"longest note":      {edit{"metadata.annotations": note(strings.Repeat("ü", 255))}, ""},
		"note too short":    {edit{"metadata.annotations": note("no")}, length},
		"note too long":     {edit{"metadata.annotations": note(strings.Repeat("n", 256))}, length},
		"other annotation":  {edit{"metadata.annotations": map[string]any{"team": "red"}}, only},
		"note and another":  {edit{"metadata.annotations": map[string]any{v1alpha1.NoteAnnotation: "why", "team": "red"}}, only},
		"label changed":     {edit{"metadata.labels": map[string]any{v1alpha1.TrailLabel: "other"}}, only},
		"labels removed":    {edit{"metadata.labels": nil}, only},
		"finalizer":         {edit{"metadata.finalizers": []any{"example.com/keep"}}, only},
		"owner":             {edit{"metadata.ownerReferences": []any{map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "b"}}}, only},
		"nothing different": {edit{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := admin.Update(t.Context(), test.change.apply(t, created), client.DryRunAll)
			if test.want == "" {
				NewWithT(t).Expect(err).NotTo(HaveOccurred())
				return
			}
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(test.want)))
		})
	}
}

func TestOnlyTheOperatorWritesStatus(t *testing.T) {
	g := NewWithT(t)
	waitForPolicies(t)
	admin, operator := clientOf(t, env.Admin()), operatorClient(t)
	observed := trail("observed")
	g.Expect(admin.Create(t.Context(), observed)).To(Succeed())
	t.Cleanup(func() { g.Expect(admin.Delete(withoutCancel(t), observed)).To(Succeed()) })
	for _, test := range []struct {
		object *unstructured.Unstructured
		change edit
		want   string
	}{
		{createEvent(t, "judged"), edit{"status.outcome": "Unknown"}, "The status of an AuditEvent is written by Trailkeeper only"},
		{observed, edit{"status.delivery.sequence": int64(7)}, "The status of an AuditTrail is written by Trailkeeper only"},
	} {
		t.Run(test.object.GetKind(), func(t *testing.T) {
			g := NewWithT(t)
			g.Eventually(t.Context(), func() error {
				return admin.Status().Update(t.Context(), test.change.apply(t, test.object), client.DryRunAll)
			}).WithTimeout(patience).Should(MatchError(ContainSubstring(test.want)))
			patch := client.MergeFrom(test.object.DeepCopy())
			g.Expect(operator.Status().Patch(t.Context(), test.change.apply(t, test.object), patch)).To(Succeed())
		})
	}
}
