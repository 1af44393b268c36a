package recording

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// clientOf is a new user's client, with rights in one namespace.
func clientOf(t *testing.T, username, namespace string, rule rbacv1.PolicyRule) client.Client {
	t.Helper()
	g := NewWithT(t)
	user := rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: username}
	g.Expect(testenv.Create(t.Context(), admin, testenv.Rights(namespace, username, user, rule)...)).To(Succeed())
	config, err := env.AddUser(username)
	g.Expect(err).NotTo(HaveOccurred())
	users, err := testenv.NewClient(config)
	g.Expect(err).NotTo(HaveOccurred())
	return users
}

// eventOf is the event of the object with this name.
func eventOf(t *testing.T, namespace, object string) *v1alpha1.AuditEvent {
	t.Helper()
	for _, event := range allEvents(t, namespace) {
		if event.Spec.Resource.Name == object {
			return &event
		}
	}
	t.Fatalf("no event of %s", object)
	return nil
}

// noteOn writes a note, or removes it when it is empty.
func noteOn(t *testing.T, c client.Client, event *v1alpha1.AuditEvent, text string) error {
	t.Helper()
	value := `"` + text + `"`
	if text == "" {
		value = "null"
	}
	return c.Patch(t.Context(), event.DeepCopy(), client.RawPatch("application/merge-patch+json",
		[]byte(`{"metadata":{"annotations":{"audit.trailkeeper.dev/note":`+value+`}}}`)))
}

func TestNotesAfterwards(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	// The rules say nothing of AuditEvents.
	namespace := newNamespace(t)
	trail := clusterOnly(namespace, "quiet", v1alpha1.Rule{Level: v1alpha1.LevelMetadata, Kinds: []string{"ConfigMap"}})
	startTrail(t, trail, namespace)
	create(t, namespace, configMap("web"))
	event := eventOf(t, namespace, "web")
	patching := rbacv1.PolicyRule{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"auditevents"}, Verbs: []string{"patch"}}
	reading := patching
	reading.Verbs = []string{"get", "list", "watch"}
	noter := clientOf(t, "noter", namespace, patching)
	onlooker := clientOf(t, "onlooker", namespace, reading)

	err := noteOn(t, onlooker, event, "I may not say this")
	g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
	for _, text := range []string{"no", strings.Repeat("n", 256)} {
		g.Expect(noteOn(t, noter, event, text)).To(MatchError(ContainSubstring("has 3 to 255 characters")))
	}
	first, second := "why", strings.Repeat("ü", 255)
	for _, text := range []string{first, second, second, ""} {
		g.Expect(noteOn(t, noter, event, text)).To(Succeed())
	}

	// They are delivered like any other, and found to have been made, but for a try that met an older version in the API server's cache.
	all := allEvents(t, namespace)
	waitDelivered(t, trail, all[len(all)-1].ResourceVersion)
	recorded := events(t, namespace, ofKind("AuditEvent"), func(e *v1alpha1.AuditEvent) bool { return e.Status.Outcome == "" })
	g.Expect(recorded).To(HaveLen(3), "set, changed and removed; what is repeated changes nothing")
	for i, note := range []string{first, second, ""} {
		g.Expect(recorded[i].Action).To(Equal(v1alpha1.ActionUpdate))
		g.Expect(recorded[i].Actor.Username).To(Equal("noter"))
		g.Expect(recorded[i].Note).To(Equal(note))
		g.Expect(recorded[i].Resource.Name).To(Equal(event.Name))
		g.Expect(recorded[i].Resource.UID).To(BeEquivalentTo(event.UID))
		g.Expect(recorded[i].TrailRef.Name).To(Equal("quiet"))
	}
	g.Expect(changesOf(t, &recorded[2])).To(ContainSubstring(`"op":"remove"`))
}

func TestNotesAreRecordedOnceByEachTrail(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	// Both of these would record notes by their rules.
	tenant, namespace := newTenant(t, v1alpha1.Rule{
		Level: v1alpha1.LevelChanges, Kinds: []string{"auditevent"}, Users: []string{person},
	})
	startTrail(t, clusterOnly(namespace, "all", everything()), namespace)
	create(t, namespace, configMap("web"))
	event := eventOf(t, namespace, "web")

	g.Expect(noteOn(t, aliceClient, event, "Ticket 7")).To(Succeed())

	g.Expect(events(t, namespace, named(event.Name))).To(HaveLen(1))
	g.Expect(events(t, testenv.OperatorNamespace, ofTrail(tenant), named(event.Name))).To(HaveLen(1))
}
