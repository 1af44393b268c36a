package api_test

import (
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// event is an AuditEvent as the recorder writes it.
func event(name string) *unstructured.Unstructured {
	return object("AuditEvent", "default", name, map[string]any{
		"id":       "5e0d7c1f",
		"time":     "2026-03-01T10:00:00.000000Z",
		"action":   "Update",
		"level":    "Object",
		"trailRef": map[string]any{"namespace": "default", "name": "audit", "uid": "1d0c"},
		"actor":    map[string]any{"type": "User", "username": "alice", "extra": map[string]any{"scopes": []any{"a", "b"}}},
		"resource": map[string]any{"version": "v1", "resource": "configmaps", "kind": "ConfigMap", "namespace": "default", "name": "colors"},
		"request":  map[string]any{"uid": "7f3a"},
		"changes": []any{map[string]any{
			"op": "replace", "path": "/data",
			"from":  map[string]any{"favourite": "teal", "list": []any{"a", int64(1), nil}},
			"value": map[string]any{"favourite": "mauve", "list": []any{"a", int64(2), nil}},
		}},
		"object": map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"favourite": "mauve"}},
	})
}

// createEvent creates an event as the operator, and deletes it at the test's end.
func createEvent(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	operator, created := operatorClient(t), event(name)
	NewWithT(t).Expect(operator.Create(t.Context(), created)).To(Succeed())
	t.Cleanup(func() {
		NewWithT(t).Expect(operator.Delete(withoutCancel(t), created)).To(Succeed())
	})
	return created
}

// The values below changes and object have no schema; CEL compares them nevertheless.
func TestTheSpecOfAnEventIsImmutable(t *testing.T) {
	created := createEvent(t, "immutable")
	admin := clientOf(t, env.Admin())
	changed := func(field string, value any) []any {
		changes, _, _ := unstructured.NestedSlice(created.DeepCopy().Object, "spec", "changes")
		change, _ := changes[0].(map[string]any)
		NewWithT(t).Expect(unstructured.SetNestedField(change, value, "value", field)).To(Succeed())
		return changes
	}
	for name, change := range map[string]edit{
		"actor":                            {"spec.actor.username": "mallory"},
		"extra of the actor":               {"spec.actor.extra": map[string]any{"scopes": []any{"a", "c"}}},
		"time":                             {"spec.time": "2026-03-01T10:00:00.000001Z"},
		"note added":                       {"spec.note": "all is well"},
		"value inside a change":            {"spec.changes": changed("favourite", "teal")},
		"list element inside a change":     {"spec.changes": changed("list", []any{"a", int64(3), nil})},
		"field added inside a change":      {"spec.changes": changed("second", "red")},
		"number instead of text":           {"spec.changes": changed("favourite", int64(1))},
		"changes removed":                  {"spec.changes": nil},
		"value inside the object":          {"spec.object.data.favourite": "teal"},
		"field added inside the object":    {"spec.object.data.second": "red"},
		"object removed":                   {"spec.object": nil},
		"resource of another name":         {"spec.resource.name": "shapes"},
		"trail":                            {"spec.trailRef.name": "other"},
		"everything at once, and the note": {"spec.action": "Delete", "spec.object": nil, "metadata.annotations": map[string]any{v1alpha1.NoteAnnotation: "why"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := admin.Update(t.Context(), change.apply(t, created), client.DryRunAll)
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring("an AuditEvent is immutable")))
		})
	}
}

func TestAnEventKeepsWhatWasRecorded(t *testing.T) {
	g := NewWithT(t)
	createEvent(t, "kept")
	read := event("kept")
	g.Expect(clientOf(t, env.Admin()).Get(t.Context(), client.ObjectKeyFromObject(read), read)).To(Succeed())
	g.Expect(read.Object["spec"]).To(Equal(event("kept").Object["spec"]), "pruning or defaulting changed the record")
}

func TestEventsAreSelectedByField(t *testing.T) {
	createEvent(t, "selected")
	admin := clientOf(t, env.Admin())
	for field, values := range map[string]struct{ match, other string }{
		v1alpha1.FieldTrail:             {"audit", "other"},
		v1alpha1.FieldAction:            {"Update", "Delete"},
		v1alpha1.FieldKind:              {"ConfigMap", "Secret"},
		v1alpha1.FieldResourceNamespace: {"default", "kube-system"},
		v1alpha1.FieldResourceName:      {"colors", "shapes"},
		v1alpha1.FieldUsername:          {"alice", "bob"},
	} {
		t.Run(field, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(eventNames(t, admin, client.MatchingFields{field: values.match})).To(ContainElement("selected"))
			g.Expect(eventNames(t, admin, client.MatchingFields{field: values.other})).To(BeEmpty())
		})
	}
}

func eventNames(t *testing.T, c client.Client, options ...client.ListOption) []string {
	t.Helper()
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion("audit.trailkeeper.dev/v1alpha1")
	list.SetKind("AuditEventList")
	NewWithT(t).Expect(c.List(t.Context(), list, append(options, client.InNamespace("default"))...)).To(Succeed())
	names := make([]string, 0, len(list.Items))
	for i := range list.Items {
		names = append(names, list.Items[i].GetName())
	}
	return names
}
