package describe

import (
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

func TestAction(t *testing.T) {
	web := v1alpha1.ResourceReference{Kind: "Deployment", Namespace: "shop", Name: "web"}
	scale := web
	scale.Subresource = "scale"
	pod := v1alpha1.ResourceReference{Kind: "Pod", Namespace: "shop", Name: "web-1", Subresource: "exec"}
	alice := v1alpha1.Actor{Username: "alice"}
	for want, spec := range map[string]v1alpha1.AuditEventSpec{
		"alice created Deployment web in namespace shop":              {Action: "Create", Actor: alice, Resource: web},
		"alice updated the scale of Deployment web in namespace shop": {Action: "Update", Actor: alice, Resource: scale},
		"Somebody deleted Node n1":                                    {Action: "Delete", Resource: v1alpha1.ResourceReference{Kind: "Node", Name: "n1"}},
		"alice evicted Deployment web in namespace shop": {
			Action: "Delete", Actor: alice, Resource: web, Cause: &v1alpha1.Cause{Reason: v1alpha1.CauseEviction},
		},
		"alice connected to the exec of Pod web-1 in namespace shop": {Action: "Connect", Actor: alice, Resource: pod},
		"Replica 1 began to record": {
			Action: "Notice", Notice: &v1alpha1.Notice{Message: "Replica 1 began to record"},
		},
	} {
		NewWithT(t).Expect(Action(&v1alpha1.AuditEvent{Spec: spec})).To(Equal(want))
	}
}

func TestContent(t *testing.T) {
	g := NewWithT(t)
	raw := func(text string) *runtime.RawExtension { return &runtime.RawExtension{Raw: []byte(text)} }
	path := func(text string) *string { return &text }
	event := &v1alpha1.AuditEvent{Spec: v1alpha1.AuditEventSpec{
		Changes: []v1alpha1.Change{
			{Op: "replace", Path: path("/spec/replicas"), From: raw("2"), Value: raw("3")},
			{Op: "add", Path: path("/metadata/labels"), Value: raw(`{"a":"b"}`)},
			{Op: "remove", Path: path("/spec/paused"), From: raw("true")},
			{Op: "replace", Path: path("")},
		},
		Truncated: []string{"object"},
	}}
	g.Expect(Content(event)).To(Equal("/spec/replicas: 2 → 3\n+ /metadata/labels: {\"a\":\"b\"}\n- /spec/paused: true\n" +
		"/: (not recorded) → (not recorded)\n(left out because the event was too large: object)"))
	event.Spec = v1alpha1.AuditEventSpec{Object: raw(`{"b":1}`)}
	g.Expect(Content(event)).To(Equal("{\n  \"b\": 1\n}"))
	g.Expect(Content(&v1alpha1.AuditEvent{})).To(BeEmpty())
}

func TestALaterNoteCountsMore(t *testing.T) {
	g := NewWithT(t)
	event := &v1alpha1.AuditEvent{Spec: v1alpha1.AuditEventSpec{Note: "with the change"}}
	g.Expect(Note(event)).To(Equal("with the change"))
	event.Annotations = map[string]string{v1alpha1.NoteAnnotation: "afterwards"}
	g.Expect(Note(event)).To(Equal("afterwards"))
}
