package recording

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

func TestScopes(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	tenant, other := newTenant(t, v1alpha1.Rule{
		Level: v1alpha1.LevelMetadata, Users: []string{person},
		Resources: append(resources("", "configmaps"), resources("rbac.authorization.k8s.io", "clusterroles")...),
		Names:     []string{"scopes-*"},
	})
	project := other + "-project"
	g.Expect(admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: project}})).To(Succeed())
	// Its failure policy has the API server call twice for one change, with another request each.
	strict := clusterOnly(project, "project", everything())
	strict.Spec.Recording.FailurePolicy = v1alpha1.FailurePolicyFail
	startTrail(t, strict, project)

	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "scopes-role"}}
	g.Expect(aliceClient.Create(t.Context(), role)).To(Succeed())
	create(t, other, configMap("scopes-elsewhere"))
	create(t, project, configMap("scopes-inside"))

	var seen []string
	for _, event := range events(t, testenv.OperatorNamespace, ofTrail(tenant)) {
		seen = append(seen, event.Resource.Namespace+"/"+event.Resource.Name)
	}
	g.Expect(seen).To(Equal([]string{"/scopes-role", other + "/scopes-elsewhere", project + "/scopes-inside"}))

	recorded := events(t, project)
	g.Expect(recorded).NotTo(BeEmpty())
	for _, event := range recorded {
		g.Expect(event.Resource.Namespace).To(Equal(project), "%s %s", event.Resource.Kind, event.Resource.Name)
	}
	inside := events(t, project, named("scopes-inside"))
	g.Expect(inside).To(HaveLen(1))
	copies := events(t, testenv.OperatorNamespace, ofTrail(tenant), named("scopes-inside"))
	g.Expect(inside[0].ID).To(Equal(copies[0].ID), "both record the same change")
	g.Expect(inside[0].Request.UID).NotTo(BeEmpty())
	g.Expect(inside[0].Request.UID).NotTo(Equal(copies[0].Request.UID))
}

func TestNamespacesAreClusterScoped(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	tenant, namespace := newTenant(t, v1alpha1.Rule{
		Level: v1alpha1.LevelChanges, Users: []string{person}, Resources: resources("", "namespaces"),
	})
	startTrail(t, clusterOnly(namespace, "project", everything()), namespace)

	patched := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	g.Expect(aliceClient.Patch(t.Context(), patched,
		client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"team":"blue"}}}`)))).To(Succeed())

	recorded := events(t, testenv.OperatorNamespace, ofTrail(tenant), ofKind("Namespace"), named(namespace))
	g.Expect(recorded).To(HaveLen(1))
	g.Expect(recorded[0].Resource.Namespace).To(BeEmpty())
	g.Expect(events(t, namespace, ofKind("Namespace"))).To(BeEmpty(), "a project's trail sees what is in the namespace, not the Namespace")
}

func TestDeletionOfANamespace(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	tenant, namespace := newTenant(t, v1alpha1.Rule{
		Level: v1alpha1.LevelChanges, Names: []string{"deleted-*"}, Resources: resources("", "namespaces", "namespaces/finalize"),
	})
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "deleted-" + namespace}}
	g.Expect(aliceClient.Create(t.Context(), object)).To(Succeed())
	g.Expect(aliceClient.Delete(t.Context(), object)).To(Succeed())

	var recorded []v1alpha1.AuditEventSpec
	g.Eventually(func() []v1alpha1.AuditEventSpec {
		recorded = events(t, testenv.OperatorNamespace, ofTrail(tenant), ofKind("Namespace"), named(object.Name))
		return recorded
	}).WithTimeout(patience).WithPolling(100 * time.Millisecond).Should(HaveLen(3))
	requested, completed := recorded[1], recorded[2]
	g.Expect(requested.Action).To(Equal(v1alpha1.ActionDelete))
	g.Expect(requested.Actor.Username).To(Equal(person))
	g.Expect(changesOf(t, &requested)).To(MatchJSON(`[{"op":"add","path":"/metadata/deletionTimestamp"}]`))
	g.Expect(completed.Action).To(Equal(v1alpha1.ActionDelete))
	g.Expect(completed.Resource.Subresource).To(Equal("finalize"))
	g.Expect(completed.Actor.Type).To(Equal(v1alpha1.ActorControlPlane))
}

func TestNamespaceThatIsBeingDeleted(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t)

	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	g.Expect(aliceClient.Delete(t.Context(), object)).To(Succeed())

	// The namespace controller empties the namespace in any order, so the deletion of the trail itself, which the trail
	// still records, is the one event that must be there.
	moved := func(e *v1alpha1.AuditEvent) bool { return e.Spec.TrailRef.Namespace == namespace }
	var recorded []v1alpha1.AuditEventSpec
	g.Eventually(func() []v1alpha1.AuditEventSpec {
		recorded = events(t, testenv.OperatorNamespace, moved, ofKind("AuditTrail"))
		return recorded
	}).WithTimeout(patience).WithPolling(100 * time.Millisecond).ShouldNot(BeEmpty())
	g.Expect(recorded[0].TrailRef.Name).To(Equal("project"))
	g.Expect(recorded[0].Action).To(Equal(v1alpha1.ActionDelete))
	g.Expect(recorded[0].Actor.Type).To(Equal(v1alpha1.ActorControlPlane))
}

func TestOwnWritesAreNotRecorded(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	tenant, namespace := newTenant(t, v1alpha1.Rule{
		Level: v1alpha1.LevelChanges, Resources: resources(v1alpha1.GroupVersion.Group, "*", "*/*"),
	})

	trail := clusterOnly(namespace, "theirs")
	g.Expect(aliceClient.Create(t.Context(), trail)).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(trail), trail)).To(Succeed())
		g.Expect(trail.Status.Conditions).NotTo(BeEmpty(), "the operator writes its status")
	}).WithTimeout(patience).WithPolling(50 * time.Millisecond).Should(Succeed())
	waitRecording(t, trail, namespace, BeTrue())
	note := allEvents(t, namespace)[0]
	g.Expect(aliceClient.Patch(t.Context(), &note, client.RawPatch("application/merge-patch+json",
		[]byte(`{"metadata":{"annotations":{"audit.trailkeeper.dev/note":"Looked at it"}}}`)))).To(Succeed())

	operatorName := "system:serviceaccount:" + testenv.OperatorNamespace + ":" + testenv.OperatorServiceAccount
	g.Expect(events(t, testenv.OperatorNamespace, ofTrail(tenant), by(operatorName))).To(BeEmpty())
	g.Expect(events(t, testenv.OperatorNamespace, ofTrail(tenant), named("theirs"), by(person))).To(HaveLen(1))
	g.Expect(events(t, testenv.OperatorNamespace, ofTrail(tenant), named(note.Name), by(person))).To(HaveLen(1))
}
