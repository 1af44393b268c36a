package recorder

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// deletion is alice's deletion of a pod; edits change it.
func deletion(version, more string, edits ...func(*admissionv1.AdmissionRequest)) *admissionv1.AdmissionRequest {
	request := update(edits...)
	request.Operation = admissionv1.Delete
	request.Kind.Kind, request.Resource.Resource = "Pod", "pods"
	request.Object.Raw = nil
	request.OldObject.Raw = []byte(`{"metadata":{"name":"web","uid":"u1","resourceVersion":"` + version + `"` + more + `}}`)
	return request
}

const marked = `,"deletionTimestamp":"2026-03-01T12:00:00Z","deletionGracePeriodSeconds":0`

// TestADeletionWithoutGraceIsOneEvent: the API server marks the pod and validates a second time before it removes it.
func TestADeletionWithoutGraceIsOneEvent(t *testing.T) {
	bob := func(r *admissionv1.AdmissionRequest) { r.UserInfo.Username = "bob" }
	tests := map[string]struct {
		second *admissionv1.AdmissionRequest
		after  time.Duration
		events int
	}{
		"the second half":            {deletion("8", marked), 0, 1},
		"somebody else ends it":      {deletion("8", marked, bob), 0, 2},
		"much later":                 {deletion("8", marked), recentFor, 2},
		"tried again on what it was": {deletion("8", ""), 0, 2},
		"the grace is shortened":     {deletion("8", `,"deletionTimestamp":"2026-03-01T12:00:30Z","deletionGracePeriodSeconds":30`), 0, 2},
		"kept by a finalizer":        {deletion("8", marked+`,"finalizers":["example.com/held"]`), 0, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			r := newRig(newTrail("shop", "all"))
			r.ask(t, v1alpha1.FailurePolicyIgnore, deletion("7", ""))
			r.clock.SetTime(r.clock.Now().Add(test.after))
			g.Expect(r.ask(t, v1alpha1.FailurePolicyIgnore, test.second).Allowed).To(BeTrue())
			g.Expect(r.store.events).To(HaveLen(test.events))
		})
	}
}

// TestAnEvictionIsRecordedWithItsPod: the request shows its name only.
func TestAnEvictionIsRecordedWithItsPod(t *testing.T) {
	pod := `{"metadata":{"name":"web","uid":"u1","resourceVersion":"7"`
	tests := map[string]struct {
		pod     string
		err     error
		events  int
		uid     string
		version string
	}{
		"of a pod":                      {pod + `}}`, nil, 1, "u1", "7"},
		"of a pod that is not there":    {"", nil, 1, "", v1alpha1.NoVersion},
		"of a pod that is going":        {pod + marked + `,"deletionGracePeriodSeconds":30}}`, nil, 0, "", ""},
		"of a pod that it ends":         {pod + marked + `,"deletionGracePeriodSeconds":0}}`, nil, 1, "u1", "7"},
		"of a pod that cannot be found": {"", errStore, 1, "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			r := newRig(newTrail("shop", "all"))
			r.store.pod, r.store.podErr = []byte(test.pod), test.err
			if test.pod == "" {
				r.store.pod = nil
			}
			g.Expect(r.ask(t, v1alpha1.FailurePolicyIgnore, eviction()).Allowed).To(BeTrue())
			g.Expect(r.store.events).To(HaveLen(test.events))
			for _, event := range r.store.events {
				g.Expect(event.Spec.Action).To(Equal(v1alpha1.ActionDelete))
				g.Expect(event.Spec.Resource.UID).To(Equal(test.uid))
				g.Expect(event.Spec.Resource.ResourceVersion).To(Equal(test.version))
				g.Expect(event.Spec.Resource.Name).To(Equal("web"))
				g.Expect(event.Spec.Evidence).To(BeEmpty())
				g.Expect(event.Spec.Changes).To(HaveLen(1))
			}
		})
	}
}
