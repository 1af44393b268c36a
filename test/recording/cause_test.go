package recording

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// What controllers make of a change refers to it, and what they make of that to that.
func TestCausesOfWhatControllersDo(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t, v1alpha1.Rule{
		Level: v1alpha1.LevelMetadata, Kinds: []string{"ConfigMap", "Deployment", "ReplicaSet", "Pod"}, Resources: resources("*", "*"),
	})
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "example.com/web"}}},
			},
		},
	}
	g.Expect(aliceClient.Create(t.Context(), deployment)).To(Succeed())
	// first is the name of the first event of this kind and action, and what it says of its cause.
	first := func(kind string, action v1alpha1.Action) (string, *v1alpha1.Cause) {
		var name string
		var cause *v1alpha1.Cause
		g.Eventually(func() string {
			for _, event := range allEvents(t, namespace) {
				if event.Spec.Resource.Kind == kind && event.Spec.Action == action {
					name, cause = namespace+"/"+event.Name, event.Spec.Cause
					break
				}
			}
			return name
		}).WithTimeout(patience).WithPolling(100*time.Millisecond).ShouldNot(BeEmpty(), "%s %s", action, kind)
		return name, cause
	}

	created, none := first("Deployment", v1alpha1.ActionCreate)
	g.Expect(none).To(BeNil(), "alice wanted it")
	replicaSet, cause := first("ReplicaSet", v1alpha1.ActionCreate)
	g.Expect(cause).To(Equal(&v1alpha1.Cause{Reason: v1alpha1.CauseOwnerReference, Event: created}))
	_, cause = first("Pod", v1alpha1.ActionCreate)
	g.Expect(cause).To(Equal(&v1alpha1.Cause{Reason: v1alpha1.CauseOwnerReference, Event: replicaSet}))

	g.Expect(aliceClient.Delete(t.Context(), deployment)).To(Succeed())
	_, cause = first("ReplicaSet", v1alpha1.ActionDelete)
	g.Expect(cause.Reason).To(Equal(v1alpha1.CauseGarbageCollection))
	g.Expect(deletions(t, namespace, "Deployment")).To(ContainElement(cause.Event))
	_, cause = first("Pod", v1alpha1.ActionDelete)
	g.Expect(cause.Reason).To(Equal(v1alpha1.CauseGarbageCollection))
	g.Expect(deletions(t, namespace, "ReplicaSet")).To(ContainElement(cause.Event))
}

// deletions are the events of the deletion of an object of this kind: a controller's write in between has the API server
// validate it again.
func deletions(t *testing.T, namespace, kind string) []string {
	t.Helper()
	var names []string
	for _, event := range allEvents(t, namespace) {
		if event.Spec.Resource.Kind == kind && event.Spec.Action == v1alpha1.ActionDelete {
			names = append(names, namespace+"/"+event.Name)
		}
	}
	return names
}
