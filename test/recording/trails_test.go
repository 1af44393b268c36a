package recording

import (
	"context"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// newNamespace makes a namespace for one test. It is not deleted: the control plane ends with the tests.
func newNamespace(t *testing.T) string {
	t.Helper()
	name := strings.ToLower(strings.TrimPrefix(t.Name(), "Test"))
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	NewWithT(t).Expect(admin.Create(t.Context(), namespace)).To(Succeed())
	return name
}

// clusterOnly is a trail that pushes nowhere. Without rules it has the default ones.
func clusterOnly(namespace, name string, rules ...v1alpha1.Rule) *v1alpha1.AuditTrail {
	return &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.AuditTrailSpec{Type: v1alpha1.TrailTypeClusterOnly, Rules: rules},
	}
}

// newProject makes a namespace with a trail, and returns it when the trail records.
func newProject(t *testing.T, rules ...v1alpha1.Rule) string {
	t.Helper()
	namespace := newNamespace(t)
	startTrail(t, clusterOnly(namespace, "project", rules...), namespace)
	return namespace
}

// newTenant makes a trail that sees the whole cluster, beside those of other tests, and returns its name and a
// namespace. It records the namespace's ConfigMaps beside what the rules say.
func newTenant(t *testing.T, rules ...v1alpha1.Rule) (trail, namespace string) {
	t.Helper()
	namespace = newNamespace(t)
	probes := v1alpha1.Rule{
		Level: v1alpha1.LevelChanges, Resources: resources("", "configmaps"), Namespaces: []string{namespace},
	}
	tenant := clusterOnly(testenv.OperatorNamespace, namespace, append(rules, probes)...)
	startTrail(t, tenant, namespace)
	return tenant.Name, namespace
}

// startTrail creates the trail and waits until it records ConfigMaps of the namespace: a while after the operator has
// written the webhook configuration the API server acts on it.
func startTrail(t *testing.T, trail *v1alpha1.AuditTrail, namespace string) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(admin.Create(t.Context(), trail)).To(Succeed())
	g.Expect(testenv.WaitReady(t.Context(), admin, trail, patience)).To(Succeed())
	waitRecording(t, trail, namespace, BeTrue())
}

// waitRecording makes changes until the trail records them, or does not any more.
func waitRecording(t *testing.T, trail *v1alpha1.AuditTrail, namespace string, recorded OmegaMatcher) {
	t.Helper()
	NewWithT(t).Eventually(func() (bool, error) { return testenv.Probe(t.Context(), admin, trail, namespace) }).
		WithTimeout(patience).WithPolling(100 * time.Millisecond).Should(recorded)
}

// deleteTrail deletes a trail and waits for its end; for tests after which no trail may be left.
func deleteTrail(t *testing.T, trail *v1alpha1.AuditTrail) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	g := NewWithT(t)
	g.Expect(client.IgnoreNotFound(admin.Delete(ctx, trail))).To(Succeed())
	g.Eventually(func() bool {
		return apierrors.IsNotFound(admin.Get(ctx, client.ObjectKeyFromObject(trail), trail))
	}).WithTimeout(patience).Should(BeTrue(), "the trail %s is still there", trail.Name)
}

func allEvents(t *testing.T, namespace string) []v1alpha1.AuditEvent {
	t.Helper()
	var list v1alpha1.AuditEventList
	NewWithT(t).Expect(admin.List(t.Context(), &list, client.InNamespace(namespace))).To(Succeed())
	return list.Items
}

// match chooses events.
type match func(*v1alpha1.AuditEvent) bool

// ofTrail are the events that a trail in the operator's namespace recorded.
func ofTrail(name string) match {
	return func(e *v1alpha1.AuditEvent) bool { return e.Spec.TrailRef.Name == name }
}

func named(name string) match {
	return func(e *v1alpha1.AuditEvent) bool { return e.Spec.Resource.Name == name }
}

func ofKind(kind string) match {
	return func(e *v1alpha1.AuditEvent) bool { return e.Spec.Resource.Kind == kind }
}

func by(username string) match {
	return func(e *v1alpha1.AuditEvent) bool { return e.Spec.Actor.Username == username }
}

// events are the specs of the changes in a namespace that match all, oldest first, without those of the probes. They
// are there as soon as a change was answered: the recorder stores them before that.
func events(t *testing.T, namespace string, matches ...match) []v1alpha1.AuditEventSpec {
	t.Helper()
	var found []v1alpha1.AuditEventSpec
next:
	for _, event := range allEvents(t, namespace) {
		if strings.HasPrefix(event.Spec.Resource.Name, testenv.ProbePrefix) || event.Spec.Action == v1alpha1.ActionNotice {
			continue
		}
		for _, matches := range matches {
			if !matches(&event) {
				continue next
			}
		}
		found = append(found, event.Spec)
	}
	return found
}

// notices are the specs of what a namespace's trails were told of recording itself, oldest first.
func notices(t *testing.T, namespace string, matches ...match) []v1alpha1.AuditEventSpec {
	t.Helper()
	var found []v1alpha1.AuditEventSpec
next:
	for _, event := range allEvents(t, namespace) {
		if event.Spec.Action != v1alpha1.ActionNotice {
			continue
		}
		for _, matches := range matches {
			if !matches(&event) {
				continue next
			}
		}
		found = append(found, event.Spec)
	}
	return found
}

func about(reason v1alpha1.NoticeReason) match {
	return func(e *v1alpha1.AuditEvent) bool { return e.Spec.Notice != nil && e.Spec.Notice.Reason == reason }
}

func resources(group string, names ...string) []v1alpha1.GroupResources {
	return []v1alpha1.GroupResources{{Group: group, Resources: names}}
}

// everything records all that can be recorded.
func everything() v1alpha1.Rule {
	return v1alpha1.Rule{Level: v1alpha1.LevelChanges, Resources: resources("*", "*/*")}
}
