package observer

import (
	"context"
	"path"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var policies = schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicies"}

func configuration(kind, uid, version string, managers ...any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
		"metadata": map[string]any{"name": "x", "uid": uid, "resourceVersion": version, "managedFields": managers},
	}}
}

func manager(name, at string) map[string]any {
	return map[string]any{"manager": name, "time": at, "fieldsV1": map[string]any{"f:spec": map[string]any{}}}
}

// recorded are the changes that an observer recorded.
type recorded []string

func (r *recorded) observer(own ...string) *Observer {
	return New(Options{
		Record: func(_ context.Context, request *admissionv1.AdmissionRequest) {
			*r = append(*r, string(request.Operation)+" "+path.Join(request.Name, request.SubResource)+" "+string(request.Options.Raw))
		},
		OwnName: "x",
		Own: func(version string) bool {
			for _, known := range own {
				if known == version {
					return true
				}
			}
			return false
		},
	})
}

func TestWhatTheWatchShows(t *testing.T) {
	const kind = "ValidatingAdmissionPolicy"
	before := configuration(kind, "u1", "1", manager("helm", "2026-03-01T10:00:00Z"))
	after := configuration(kind, "u1", "2", manager("kubectl-edit", "2026-03-01T11:00:00Z"), manager("helm", "2026-03-01T10:00:00Z"))
	another := configuration(kind, "u2", "3")
	checked, edited := configuration(kind, "u2", "4"), configuration(kind, "u2", "5")
	checked.Object["status"] = map[string]any{"observedGeneration": int64(1)}
	edited.Object["status"] = map[string]any{"observedGeneration": int64(2)}
	edited.SetLabels(map[string]string{"team": "blue"})
	for name, test := range map[string]struct {
		before, after any
		want          recorded
	}{
		"created":                {nil, before, recorded{`CREATE x {"fieldManager":"helm"}`}},
		"updated":                {before, after, recorded{`UPDATE x {"fieldManager":"kubectl-edit"}`}},
		"status":                 {another, checked, recorded{"UPDATE x/status "}},
		"status and more":        {checked, edited, recorded{"UPDATE x "}},
		"deleted":                {after, nil, recorded{"DELETE x "}},
		"replaced unseen":        {before, another, recorded{"DELETE x ", "CREATE x "}},
		"nothing that one knows": {"text", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got recorded
			got.observer().changed(t.Context(), policies, test.before, test.after)
			NewWithT(t).Expect(got).To(Equal(test.want))
		})
	}
}

func TestOwnWritesAreLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		var got recorded
		o := got.observer("7")
		began := time.Now()
		o.changed(t.Context(), policies, configuration(kinds[0], "u1", "6"), configuration(kinds[0], "u1", "7"))
		g.Expect(got).To(BeEmpty())
		g.Expect(time.Since(began)).To(BeZero())
		o.changed(t.Context(), policies, configuration(kinds[0], "u1", "7"), configuration(kinds[0], "u1", "8"))
		g.Expect(got).To(HaveLen(1), "somebody else's write of the operator's configuration")
		o.changed(t.Context(), policies, configuration(kinds[0], "u1", "8"), nil)
		g.Expect(got).To(HaveLen(2), "the operator never deletes it")
		o.changed(t.Context(), policies, configuration(kinds[1], "u1", "6"), configuration(kinds[1], "u1", "7"))
		g.Expect(got).To(HaveLen(2), "the configuration of attempts is its own too")
		o.changed(t.Context(), policies, configuration(kinds[2], "u1", "6"), configuration(kinds[2], "u1", "7"))
		g.Expect(got).To(HaveLen(3), "another kind of the same name")
	})
}

// The watch may show a write before the operator has the answer that tells it the version.
func TestAWriteThatIsKnownLaterIsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got recorded
		o := got.observer()
		written := time.Now().Add(ownWithin / 2)
		o.options.Own = func(string) bool { return time.Now().After(written) }
		o.changed(t.Context(), policies, configuration(kinds[0], "u1", "6"), configuration(kinds[0], "u1", "7"))
		NewWithT(t).Expect(got).To(BeEmpty())
	})
}

func TestManagedFieldsAreSlim(t *testing.T) {
	g := NewWithT(t)
	object := configuration("X", "u1", "1", manager("helm", "2026-03-01T10:00:00Z"))
	_, err := slim(object)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(object.GetManagedFields()[0].FieldsV1).To(BeNil())
	g.Expect(latestManager(object)).To(Equal("helm"))
}
