package recording

import (
	"encoding/json"
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"key": "one"}}
}

var createOptions metav1.CreateOptions

// generated is a ConfigMap that can be created again and again.
func generated() *corev1.ConfigMap {
	object := configMap("")
	object.GenerateName = "any-"
	return object
}

// create makes a ConfigMap as alice.
func create(t *testing.T, namespace string, object *corev1.ConfigMap) *corev1.ConfigMap {
	t.Helper()
	created, err := alice.CoreV1().ConfigMaps(namespace).Create(t.Context(), object, createOptions)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return created
}

func patch(t *testing.T, namespace, name, body string) *corev1.ConfigMap {
	t.Helper()
	patched, err := alice.CoreV1().ConfigMaps(namespace).
		Patch(t.Context(), name, types.MergePatchType, []byte(body), metav1.PatchOptions{})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return patched
}

// changesOf is an event's changes as JSON.
func changesOf(t *testing.T, event *v1alpha1.AuditEventSpec) string {
	t.Helper()
	out, err := json.Marshal(event.Changes)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return string(out)
}

func TestGeneratedNames(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t)

	object := configMap("")
	object.GenerateName = "made-"
	object = create(t, namespace, object)

	recorded := events(t, namespace)
	g.Expect(recorded).To(HaveLen(1))
	g.Expect(recorded[0].Action).To(Equal(v1alpha1.ActionCreate))
	g.Expect(recorded[0].Resource.Name).To(Equal(object.Name))
	g.Expect(recorded[0].Resource.UID).To(BeEquivalentTo(object.UID))
	g.Expect(recorded[0].Resource.ResourceVersion).To(BeEmpty(), "there was nothing before")
	g.Expect(recorded[0].Actor.Type).To(Equal(v1alpha1.ActorUser))
	g.Expect(recorded[0].Actor.Username).To(Equal(person))
	g.Expect(recorded[0].Actor.Groups).To(ContainElement("developers"))
}

func TestUpdateShowsTheDifference(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t)
	before := create(t, namespace, configMap("web"))

	patch(t, namespace, "web", `{"data":{"key":"two"},"metadata":{"annotations":{"audit.trailkeeper.dev/note":"Ticket 7"}}}`)

	recorded := events(t, namespace)
	g.Expect(recorded).To(HaveLen(2))
	update := recorded[1]
	g.Expect(update.Action).To(Equal(v1alpha1.ActionUpdate))
	g.Expect(update.Resource.ResourceVersion).To(Equal(before.ResourceVersion))
	g.Expect(update.Note).To(Equal("Ticket 7"))
	g.Expect(changesOf(t, &update)).To(MatchJSON(`[
		{"op":"replace","path":"/data/key","from":"one","value":"two"},
		{"op":"add","path":"/metadata/annotations","value":{"audit.trailkeeper.dev/note":"Ticket 7"}}]`))
}

func TestUpdateWithoutDifference(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t)
	object := create(t, namespace, configMap("web"))

	_, err := alice.CoreV1().ConfigMaps(namespace).Update(t.Context(), object, metav1.UpdateOptions{FieldManager: "other"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(events(t, namespace)).To(HaveLen(1), "the creation only")

	patch(t, namespace, "web", `{"data":{"key":"two"}}`)
	g.Expect(events(t, namespace)).To(HaveLen(2))
}

func TestDeleteTakesAllFromTheOldObject(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t)
	object := create(t, namespace, configMap("web"))

	g.Expect(alice.CoreV1().ConfigMaps(namespace).Delete(t.Context(), "web", metav1.DeleteOptions{})).To(Succeed())

	recorded := events(t, namespace)
	g.Expect(recorded).To(HaveLen(2))
	deletion := recorded[1]
	g.Expect(deletion.Action).To(Equal(v1alpha1.ActionDelete))
	g.Expect(deletion.Resource.Name).To(Equal("web"))
	g.Expect(deletion.Resource.UID).To(BeEquivalentTo(object.UID))
	g.Expect(deletion.Resource.ResourceVersion).To(Equal(object.ResourceVersion))
	g.Expect(deletion.Changes).To(HaveLen(1))
	g.Expect(deletion.Changes[0].Op).To(BeEquivalentTo("remove"))
	g.Expect(string(deletion.Changes[0].From.Raw)).To(ContainSubstring(`"data":{"key":"one"}`))
}

func TestDeleteCollection(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t)
	want := map[string]string{}
	for i := range 3 {
		object := configMap(fmt.Sprintf("item-%d", i))
		object.Labels = map[string]string{"collected": "yes"}
		want[object.Name] = string(create(t, namespace, object).UID)
	}

	err := alice.CoreV1().ConfigMaps(namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{},
		metav1.ListOptions{LabelSelector: "collected=yes"})
	g.Expect(err).NotTo(HaveOccurred())

	got := map[string]string{}
	recorded := events(t, namespace)
	g.Expect(recorded).To(HaveLen(6), "three creations and three deletions")
	for _, event := range recorded {
		if event.Action == v1alpha1.ActionDelete {
			got[event.Resource.Name] = event.Resource.UID
		}
	}
	g.Expect(got).To(Equal(want))
}

func TestFinalizers(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t)
	object := configMap("kept")
	object.Finalizers = []string{"example.com/keep"}
	object = create(t, namespace, object)

	g.Expect(alice.CoreV1().ConfigMaps(namespace).Delete(t.Context(), "kept", metav1.DeleteOptions{})).To(Succeed())
	patch(t, namespace, "kept", `{"metadata":{"finalizers":null}}`)
	_, err := alice.CoreV1().ConfigMaps(namespace).Get(t.Context(), "kept", metav1.GetOptions{})
	g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "the last finalizer kept it")

	recorded := events(t, namespace)
	g.Expect(recorded).To(HaveLen(3))
	requested, completed := recorded[1], recorded[2]
	g.Expect(requested.Action).To(Equal(v1alpha1.ActionDelete))
	g.Expect(changesOf(t, &requested)).To(MatchJSON(`[{"op":"add","path":"/metadata/deletionTimestamp"}]`))
	g.Expect(completed.Action).To(Equal(v1alpha1.ActionDelete))
	g.Expect(changesOf(t, &completed)).To(ContainSubstring("/metadata/finalizers"))
	for _, event := range recorded {
		g.Expect(event.Resource.UID).To(BeEquivalentTo(object.UID))
	}
}

func TestScale(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t)
	labels := map[string]string{"app": "web"}
	deployments := alice.AppsV1().Deployments(namespace)
	_, err := deployments.Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To[int32](0),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "example.com/web"}}},
			},
		},
	}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())

	// While its controller writes its status, the update may conflict with that and be tried, and recorded, again.
	g.Eventually(t.Context(), func(g Gomega) {
		web, err := deployments.Get(t.Context(), "web", metav1.GetOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(web.Status.Conditions).To(ContainElement(HaveField("Reason", "NewReplicaSetAvailable")))
	}).WithTimeout(patience).Should(Succeed())
	scale, err := deployments.GetScale(t.Context(), "web", metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	scale.Spec.Replicas = 2
	_, err = deployments.UpdateScale(t.Context(), "web", scale, metav1.UpdateOptions{})
	g.Expect(err).NotTo(HaveOccurred())

	recorded := events(t, namespace, by(person))
	g.Expect(recorded).To(HaveLen(2))
	g.Expect(recorded[1].Action).To(Equal(v1alpha1.ActionUpdate))
	g.Expect(recorded[1].Resource.Resource).To(Equal("deployments"))
	g.Expect(recorded[1].Resource.Subresource).To(Equal("scale"))
	g.Expect(recorded[1].Resource.Name).To(Equal("web"))
	g.Expect(changesOf(t, &recorded[1])).To(MatchJSON(`[{"op":"add","path":"/spec/replicas","value":2}]`),
		"a Scale of no replicas does not say so")
}

func TestApply(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t)
	apply := func(value string) {
		object := applycorev1.ConfigMap("applied", namespace).WithData(map[string]string{"key": value})
		_, err := alice.CoreV1().ConfigMaps(namespace).Apply(t.Context(), object, metav1.ApplyOptions{FieldManager: "gitops"})
		g.Expect(err).NotTo(HaveOccurred())
	}
	apply("one")
	apply("one")
	apply("two")

	recorded := events(t, namespace)
	g.Expect(recorded).To(HaveLen(2), "applying the same again changes nothing")
	g.Expect(recorded[0].Action).To(Equal(v1alpha1.ActionCreate))
	g.Expect(recorded[1].Action).To(Equal(v1alpha1.ActionUpdate))
	for _, event := range recorded {
		g.Expect(event.Request.FieldManager).To(Equal("gitops"))
	}
}
