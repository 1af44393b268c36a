package main

import (
	"encoding/base64"
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// scene is a trail that kept and delivered one change, and that change.
func scene() (*v1alpha1.AuditTrail, []change, []v1alpha1.AuditEvent, []delivered) {
	made := entry{alice, "Create", "ConfigMap", shop, "features", note, v1alpha1.OutcomePersisted}
	trail := &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "shop"},
		Status: v1alpha1.AuditTrailStatus{
			Scope:    v1alpha1.ScopeProject,
			Delivery: &v1alpha1.DeliveryStatus{Delivered: 1},
		},
	}
	event := v1alpha1.AuditEvent{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "01j"},
		Spec: v1alpha1.AuditEventSpec{
			Action:   v1alpha1.ActionCreate,
			Actor:    v1alpha1.Actor{Username: alice},
			Resource: v1alpha1.ResourceReference{Kind: "ConfigMap", Namespace: shop, Name: "features"},
			Note:     note,
		},
	}
	elsewhere := change{leaves: entry{who: alice, action: "Create", kind: "Namespace", name: "staging"}}
	return trail, []change{{leaves: made}, elsewhere}, []v1alpha1.AuditEvent{event}, []delivered{{made, 1, "shop/01j"}}
}

func TestCompareAcceptsWhatHappened(t *testing.T) {
	NewWithT(t).Expect(compare(scene())).To(Succeed())
}

func TestCompareFindsWhatDidNotHappen(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*v1alpha1.AuditTrail, []v1alpha1.AuditEvent, []delivered) ([]v1alpha1.AuditEvent, []delivered)
		want  string
	}{
		"not recorded": {func(_ *v1alpha1.AuditTrail, _ []v1alpha1.AuditEvent, _ []delivered) ([]v1alpha1.AuditEvent, []delivered) {
			return nil, nil
		}, "AuditEvent of Create ConfigMap shop/features"},
		"not delivered": {func(_ *v1alpha1.AuditTrail, e []v1alpha1.AuditEvent, _ []delivered) ([]v1alpha1.AuditEvent, []delivered) {
			return e, nil
		}, "record of Create ConfigMap shop/features"},
		"delivered from nowhere": {func(_ *v1alpha1.AuditTrail, _ []v1alpha1.AuditEvent, r []delivered) ([]v1alpha1.AuditEvent, []delivered) {
			return nil, r
		}, "is not in the cluster"},
		"another outcome": {func(_ *v1alpha1.AuditTrail, e []v1alpha1.AuditEvent, r []delivered) ([]v1alpha1.AuditEvent, []delivered) {
			e[0].Status.Outcome = v1alpha1.OutcomeUnknown
			return e, r
		}, "is missing"},
		"without its note": {func(_ *v1alpha1.AuditTrail, e []v1alpha1.AuditEvent, r []delivered) ([]v1alpha1.AuditEvent, []delivered) {
			r[0].note = ""
			return e, r
		}, "record of"},
		"not counted": {func(trail *v1alpha1.AuditTrail, e []v1alpha1.AuditEvent, r []delivered) ([]v1alpha1.AuditEvent, []delivered) {
			trail.Status.Delivery.Delivered = 0
			return e, r
		}, "1 events were recorded, 1 arrived"},
	} {
		t.Run(name, func(t *testing.T) {
			trail, changes, events, records := scene()
			events, records = test.spoil(trail, events, records)
			NewWithT(t).Expect(compare(trail, changes, events, records)).To(MatchError(ContainSubstring(test.want)))
		})
	}
}

func TestATenantTrailMustHaveWhatIsOutsideOfNamespaces(t *testing.T) {
	trail, changes, events, records := scene()
	trail.Status.Scope = v1alpha1.ScopeTenant
	NewWithT(t).Expect(compare(trail, changes, events, records)).To(MatchError(ContainSubstring("Namespace staging")))
}

func TestLeaksFindsEachForm(t *testing.T) {
	const secret = "hunter2-hunter2"
	for name, content := range map[string]string{
		"as it is":           `{"password":"` + secret + `"}`,
		"as base64":          `{"password":"` + base64.StdEncoding.EncodeToString([]byte(secret)) + `"}`,
		"as a list of bytes": `{"password":[104,117,110,116,101,114,50,45,104,117,110,116,101,114,50]}`,
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			secrets := map[string]string{"the password": secret}
			g.Expect(leaks(map[string]string{"a log": content}, secrets)).To(MatchError("the password is in a log"))
			g.Expect(leaks(map[string]string{"a log": "redacted:4f2a"}, secrets)).To(Succeed())
		})
	}
}
