package audit

import (
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// The API server takes names and identities of any length; an AuditEvent past its schema would be refused.
func TestIdentityKeepsWithinTheSchema(t *testing.T) {
	many := slices.Repeat([]string{"g"}, 1025)
	user := func(edit func(*authenticationv1.UserInfo)) func(*admissionv1.AdmissionRequest) {
		return func(r *admissionv1.AdmissionRequest) { edit(&r.UserInfo) }
	}
	tests := map[string]struct {
		edit func(*admissionv1.AdmissionRequest)
		said string
	}{
		"a long name":       {func(r *admissionv1.AdmissionRequest) { r.Name = strings.Repeat("ü", 1025) }, "resource.name"},
		"a long user name":  {user(func(u *authenticationv1.UserInfo) { u.Username = strings.Repeat("ü", 4097) }), "actor"},
		"a long user's uid": {user(func(u *authenticationv1.UserInfo) { u.UID = strings.Repeat("x", 1025) }), "actor"},
		"many groups":       {user(func(u *authenticationv1.UserInfo) { u.Groups = many }), "actor.groups"},
		"a long group":      {user(func(u *authenticationv1.UserInfo) { u.Groups = []string{"dev", strings.Repeat("x", 4097)} }), "actor.groups"},
		"many extra values": {user(func(u *authenticationv1.UserInfo) {
			u.Extra = map[string]authenticationv1.ExtraValue{"x": many}
		}), "actor.extra"},
		"a long extra value": {user(func(u *authenticationv1.UserInfo) {
			u.Extra = map[string]authenticationv1.ExtraValue{"x": {strings.Repeat("x", 65537)}}
		}), "actor.extra"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			spec := event(t, request(test.edit), Wanted{}).Spec
			g.Expect(spec.Truncated).To(Equal([]string{test.said}))
			g.Expect(len([]rune(spec.Resource.Name))).To(BeNumerically("<=", 1024))
			g.Expect(len([]rune(spec.Actor.Username))).To(BeNumerically("<=", 4096))
			g.Expect(len(spec.Actor.UID)).To(BeNumerically("<=", 1024))
			g.Expect(len(spec.Actor.Groups)).To(BeNumerically("<=", 1024))
			g.Expect(spec.Actor.Groups).NotTo(BeEmpty())
			g.Expect(spec.Actor.Extra).To(BeEmpty())
			g.Expect(spec.Changes).To(HaveLen(1), "the rest is kept")
		})
	}
}

// spec.truncated has room for eight.
func TestAllThatCanBeCutIsSaidOnce(t *testing.T) {
	g := NewWithT(t)
	spec := &v1alpha1.AuditEventSpec{Truncated: []string{"object", "changes.values"}}
	for _, part := range []string{"changes", "redacted", "changes", "evidence", "actor", "actor.extra", "actor.groups", "resource.name", "redacted"} {
		say(spec, part)
	}
	g.Expect(spec.Truncated).To(Equal([]string{
		"object", "changes", "redacted", "evidence", "actor", "actor.extra", "actor.groups", "resource.name",
	}))
}

func TestEachConnectionIsAChangeOfItsOwn(t *testing.T) {
	g := NewWithT(t)
	id := func(uid string) string {
		return event(t, request(kind("", "PodExecOptions", "pods", "exec"), operation(admissionv1.Connect),
			objects("", `{"command":["sh"]}`), func(r *admissionv1.AdmissionRequest) { r.UID = types.UID(uid) }), Wanted{}).Spec.ID
	}
	g.Expect(id("1")).To(Equal(id("1")), "the API server's own retry")
	g.Expect(id("1")).NotTo(Equal(id("2")), "the same command again")
}

// TestWhatIsCalledSmallIsSmall: the estimate must not let an event through that the limit would have cut.
func TestWhatIsCalledSmallIsSmall(t *testing.T) {
	g := NewWithT(t)
	worst := func(bytes int) string { return strings.Repeat("<", bytes) }
	path := "/data/" + worst(100)
	fill := map[string]func(spec *v1alpha1.AuditEventSpec, bytes int){
		"object": func(spec *v1alpha1.AuditEventSpec, bytes int) { spec.Object = raw(worst(bytes)) },
		"changes": func(spec *v1alpha1.AuditEventSpec, bytes int) {
			for range bytes / 300 {
				spec.Changes = append(spec.Changes, v1alpha1.Change{Op: "replace", Path: &path, From: raw(worst(100)), Value: raw(worst(100))})
			}
		},
		"redacted": func(spec *v1alpha1.AuditEventSpec, bytes int) {
			for range bytes / 10 {
				spec.Redacted = append(spec.Redacted, worst(10))
			}
		},
		"groups": func(spec *v1alpha1.AuditEventSpec, bytes int) {
			for range bytes / 10 {
				spec.Actor.Groups = append(spec.Actor.Groups, worst(10))
			}
		},
		"extra": func(spec *v1alpha1.AuditEventSpec, bytes int) {
			spec.Actor.Extra = map[string]v1alpha1.ExtraValue{worst(10): {worst(bytes)}}
		},
	}
	for name, fill := range fill {
		called := 0
		for bytes := 500; bytes < maxSpec; bytes += bytes / 4 {
			spec := &v1alpha1.AuditEventSpec{}
			fill(spec, bytes)
			if surelySmall(spec) {
				called++
				g.Expect(size(spec)).To(BeNumerically("<=", maxSpec), "%s of %d bytes", name, bytes)
			}
		}
		g.Expect(called).To(BeNumerically(">", 3), "%s: an ordinary event is called small", name)
	}
}
