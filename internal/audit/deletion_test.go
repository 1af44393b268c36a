package audit

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	going = `"deletionTimestamp":"2026-03-01T11:00:00Z"`
	held  = `"finalizers":["example.com/held"]`
)

func meta(more string) string {
	return `{"metadata":{"name":"web","uid":"u1","resourceVersion":"7"` + more + `}}`
}

// TestDeletionsThatChangeNothing are not recorded.
func TestDeletionsThatChangeNothing(t *testing.T) {
	tests := map[string]struct {
		old     string
		noise   bool
		options string
	}{
		"the first":                  {old: meta(``)},
		"held, the first":            {old: meta(`,` + held)},
		"held, again":                {old: meta(`,` + going + `,` + held), noise: true},
		"held, again, without grace": {old: meta(`,` + going + `,"deletionGracePeriodSeconds":0,` + held), noise: true},
		"held, with grace left":      {old: meta(`,` + going + `,"deletionGracePeriodSeconds":30,` + held)},
		"with grace left":            {old: meta(`,` + going + `,"deletionGracePeriodSeconds":30`)},
		"in the foreground, again": {
			old: meta(`,` + going + `,"finalizers":["foregroundDeletion"]`), noise: true, options: `{"propagationPolicy":"Foreground"}`,
		},
		"in the background now": {
			old: meta(`,` + going + `,"finalizers":["foregroundDeletion"]`), options: `{"propagationPolicy":"Background"}`,
		},
		"orphaned now": {
			old: meta(`,` + going + `,` + held), options: `{"propagationPolicy":"Orphan"}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			change := newChange(t, request(operation(admissionv1.Delete), objects(test.old, ""), func(r *admissionv1.AdmissionRequest) {
				r.Options.Raw = []byte(test.options)
			}))
			NewWithT(t).Expect(change.Noise()).To(Equal(test.noise))
		})
	}
}

// TestEvictionsOfWhatIsGoing are recorded only where they end the pod.
func TestEvictionsOfWhatIsGoing(t *testing.T) {
	for name, test := range map[string]struct {
		pod   string
		noise bool
	}{
		"it is not going":      {meta(``), false},
		"it has grace left":    {meta(`,` + going + `,"deletionGracePeriodSeconds":30`), true},
		"a finalizer keeps it": {meta(`,` + going + `,"deletionGracePeriodSeconds":0,` + held), true},
		"nothing keeps it":     {meta(`,` + going + `,"deletionGracePeriodSeconds":0`), false},
	} {
		t.Run(name, func(t *testing.T) {
			change := newChange(t, request(operation(admissionv1.Create), kind("", "Pod", "pods", "eviction"), objects(test.pod, `{"metadata":{"name":"web"}}`)))
			NewWithT(t).Expect(change.Noise()).To(Equal(test.noise))
		})
	}
}

// TestTheSecondHalfOfADeletion is of a pod: other kinds know no grace, so somebody asks for something else.
func TestTheSecondHalfOfADeletion(t *testing.T) {
	for resource, want := range map[string]bool{"pods": true, "deployments": false} {
		change := newChange(t, request(operation(admissionv1.Delete), kind("", "", resource, ""),
			objects(meta(`,`+going+`,"deletionGracePeriodSeconds":0`), "")))
		NewWithT(t).Expect(change.EndsDeletion()).To(Equal(want), resource)
	}
}

// TestRemovingTheLastFinalizer deletes, unless the object has time left to end by itself.
func TestRemovingTheLastFinalizer(t *testing.T) {
	for grace, want := range map[string]v1alpha1.Action{
		``:                                 v1alpha1.ActionDelete,
		`,"deletionGracePeriodSeconds":0`:  v1alpha1.ActionDelete,
		`,"deletionGracePeriodSeconds":30`: v1alpha1.ActionUpdate,
	} {
		change := newChange(t, request(objects(meta(`,`+going+`,`+held+grace), meta(`,`+going+grace))))
		NewWithT(t).Expect(change.action).To(Equal(want), grace)
	}
}

// TestAnUpdateThatOnlyRemoves changes nothing of what nothing keeps any more, and is told from a deletion by its evidence.
func TestAnUpdateThatOnlyRemoves(t *testing.T) {
	g := NewWithT(t)
	object := meta(`,` + going + `,"deletionGracePeriodSeconds":0`)
	change := newChange(t, request(objects(object, object)))
	g.Expect(change.action).To(Equal(v1alpha1.ActionDelete))
	g.Expect(change.Noise()).To(BeFalse())
	g.Expect(change.evidence).To(Equal([]v1alpha1.Evidence{{Path: "/metadata/finalizers"}}))
	g.Expect(newChange(t, request(operation("DELETE"), objects(object, ""))).evidence).To(BeEmpty())
}

// TestAScaleOfNothingShowsItsObject: a Scale leaves out replicas when there are none, and its object does not.
func TestAScaleOfNothingShowsItsObject(t *testing.T) {
	g := NewWithT(t)
	scale := func(spec string) string {
		return `{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"web","uid":"u1"},"spec":{` + spec + `}}`
	}
	change := newChange(t, request(kind("apps", "Scale", "deployments", "scale"), objects(scale(`"replicas":2`), scale(``))))
	for replicas, want := range map[string]Sighting{"0": SawAfter, "2": SawBefore, "1": SawNeither} {
		got, err := Sight(testDigester, change.evidence, []byte(`{"spec":{"replicas":`+replicas+`}}`))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got).To(Equal(want), replicas)
	}
}

// TestWhatADeletionAsks is part of the record, and tells requests apart.
func TestWhatADeletionAsks(t *testing.T) {
	asking := func(options string) *Change {
		return newChange(t, request(operation(admissionv1.Delete), objects(meta(``), ""), func(r *admissionv1.AdmissionRequest) {
			r.Options.Raw = []byte(options)
		}))
	}
	evicting := func(options string) *Change {
		return newChange(t, request(operation(admissionv1.Create), kind("", "Pod", "pods", "eviction"),
			objects(meta(``), `{"metadata":{"name":"web"},"deleteOptions":`+options+`}`)))
	}
	for name, test := range map[string]struct {
		change *Change
		policy metav1.DeletionPropagation
		grace  *int64
	}{
		"nothing":              {asking(``), "", nil},
		"in the foreground":    {asking(`{"propagationPolicy":"Foreground"}`), "Foreground", nil},
		"at once":              {asking(`{"gracePeriodSeconds":0,"propagationPolicy":"Background"}`), "Background", ptr.To[int64](0)},
		"orphans, as of old":   {asking(`{"orphanDependents":true}`), "Orphan", nil},
		"no orphans":           {asking(`{"orphanDependents":false}`), "Background", nil},
		"what nobody knows":    {asking(`{"propagationPolicy":"Sideways"}`), "", nil},
		"in an eviction":       {evicting(`{"gracePeriodSeconds":5,"propagationPolicy":"Orphan"}`), "Orphan", ptr.To[int64](5)},
		"an eviction, nothing": {evicting(`null`), "", nil},
		"of an update, nothing": {newChange(t, request(func(r *admissionv1.AdmissionRequest) {
			r.Options.Raw = []byte(`{"propagationPolicy":"Orphan","gracePeriodSeconds":1}`)
		})), "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			event := test.change.Event(Wanted{Level: v1alpha1.LevelMetadata}, "e", time.Now())
			g.Expect(event.Spec.Request.PropagationPolicy).To(Equal(test.policy))
			g.Expect(event.Spec.Request.GracePeriodSeconds).To(Equal(test.grace))
		})
	}
	g := NewWithT(t)
	g.Expect(asking(`{"gracePeriodSeconds":0}`).ID()).NotTo(Equal(asking(``).ID()))
	g.Expect(asking(`{"gracePeriodSeconds":0}`).Deletion()).NotTo(Equal(asking(``).Deletion()))
	g.Expect(asking(`{"propagationPolicy":"Orphan"}`).ID()).NotTo(Equal(asking(`{"propagationPolicy":"Background"}`).ID()))
	g.Expect(asking(`{"propagationPolicy":"Orphan"}`).ID()).To(Equal(asking(`{"orphanDependents":true}`).ID()), "it is the same request")
}
