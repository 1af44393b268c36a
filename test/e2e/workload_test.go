package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applyv1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// person is one user of the cluster, who works on objects of their own.
type person struct {
	name    string
	clients *kubernetes.Clientset
}

func newPerson(t *testing.T, name string, config *rest.Config) person {
	t.Helper()
	clients, err := kubernetes.NewForConfig(config)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return person{name, clients}
}

// workload makes changes at random, from a seed. Requests may fail: the audit log says what happened.
type workload struct {
	random    *rand.Rand
	namespace string
}

// step makes about one change.
func (w *workload) step(ctx context.Context, p person) {
	name := fmt.Sprintf("%s-%d", p.name, w.random.IntN(12))
	steps := []func(context.Context, person, string){
		w.createConfigMap, w.createConfigMap, w.updateConfigMap, w.updateConfigMap, w.patchConfigMap, w.patchConfigMap,
		w.patchConfigMap, w.applyConfigMap, w.deleteConfigMap, w.generateName, w.conflict, w.dryRun, w.writeSecret,
		w.createDeployment, w.patchDeployment, w.scaleDeployment, w.deleteDeployment, w.finalizer, w.forbidden,
		w.deleteCollection,
	}
	steps[w.random.IntN(len(steps))](ctx, p, name)
}

func (w *workload) value() string { return fmt.Sprint(w.random.IntN(4)) }

func (w *workload) createConfigMap(ctx context.Context, p person, name string) {
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"owner": p.name}}}
	object.Data = map[string]string{"value": w.value()}
	_, _ = p.clients.CoreV1().ConfigMaps(w.namespace).Create(ctx, object, metav1.CreateOptions{})
}

func (w *workload) updateConfigMap(ctx context.Context, p person, name string) {
	object, err := p.clients.CoreV1().ConfigMaps(w.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return
	}
	// One in four of these changes nothing.
	object.Data = map[string]string{"value": w.value()}
	_, _ = p.clients.CoreV1().ConfigMaps(w.namespace).Update(ctx, object, metav1.UpdateOptions{})
}

func (w *workload) patchConfigMap(ctx context.Context, p person, name string) {
	patch := fmt.Sprintf(`{"data":{"value":%q},"metadata":{"annotations":{"audit.trailkeeper.dev/note":"try %s"}}}`, w.value(), w.value())
	_, _ = p.clients.CoreV1().ConfigMaps(w.namespace).Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
}

func (w *workload) applyConfigMap(ctx context.Context, p person, name string) {
	object := applyv1.ConfigMap(name, w.namespace).WithData(map[string]string{"applied": w.value()}).
		WithLabels(map[string]string{"owner": p.name})
	_, _ = p.clients.CoreV1().ConfigMaps(w.namespace).Apply(ctx, object, metav1.ApplyOptions{FieldManager: "e2e", Force: true})
}

func (w *workload) deleteConfigMap(ctx context.Context, p person, name string) {
	_ = p.clients.CoreV1().ConfigMaps(w.namespace).Delete(ctx, name, metav1.DeleteOptions{})
}

func (w *workload) generateName(ctx context.Context, p person, name string) {
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-"}}
	_, _ = p.clients.CoreV1().ConfigMaps(w.namespace).Create(ctx, object, metav1.CreateOptions{})
}

// conflict updates from an old version.
func (w *workload) conflict(ctx context.Context, p person, name string) {
	object, err := p.clients.CoreV1().ConfigMaps(w.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return
	}
	object.ResourceVersion = "1"
	object.Data = map[string]string{"value": "from the past"}
	_, _ = p.clients.CoreV1().ConfigMaps(w.namespace).Update(ctx, object, metav1.UpdateOptions{})
}

func (w *workload) dryRun(ctx context.Context, p person, name string) {
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name + "-dry"}}
	_, _ = p.clients.CoreV1().ConfigMaps(w.namespace).Create(ctx, object, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

// writeSecret looks first: the operator may not read Secrets, and could not tell that a second creation failed.
func (w *workload) writeSecret(ctx context.Context, p person, name string) {
	secrets := p.clients.CoreV1().Secrets(w.namespace)
	if _, err := secrets.Get(ctx, name, metav1.GetOptions{}); err != nil {
		object := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: map[string]string{"password": plantedSecret}}
		_, _ = secrets.Create(ctx, object, metav1.CreateOptions{})
		return
	}
	patch := fmt.Sprintf(`{"stringData":{"password":%q}}`, plantedSecret+w.value())
	_, _ = secrets.Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
}

func (w *workload) createDeployment(ctx context.Context, p person, name string) {
	labels := map[string]string{"app": name}
	object := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "example.com/web:1"}}},
			},
		},
	}
	_, _ = p.clients.AppsV1().Deployments(w.namespace).Create(ctx, object, metav1.CreateOptions{})
}

func (w *workload) patchDeployment(ctx context.Context, p person, name string) {
	patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"example.com/web:%s"}]}}}}`, w.value())
	_, _ = p.clients.AppsV1().Deployments(w.namespace).Patch(ctx, name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
}

func (w *workload) scaleDeployment(ctx context.Context, p person, name string) {
	patch := fmt.Sprintf(`{"spec":{"replicas":%s}}`, w.value())
	_, _ = p.clients.AppsV1().Deployments(w.namespace).Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "scale")
}

func (w *workload) deleteDeployment(ctx context.Context, p person, name string) {
	_ = p.clients.AppsV1().Deployments(w.namespace).Delete(ctx, name, metav1.DeleteOptions{})
}

// finalizer has an object deleted in two steps.
func (w *workload) finalizer(ctx context.Context, p person, name string) {
	configMaps := p.clients.CoreV1().ConfigMaps(w.namespace)
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name + "-held", Finalizers: []string{"example.com/held"}}}
	if _, err := configMaps.Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return
	}
	_ = configMaps.Delete(ctx, object.Name, metav1.DeleteOptions{})
	patch := []byte(`{"metadata":{"finalizers":null}}`)
	_, _ = configMaps.Patch(ctx, object.Name, types.MergePatchType, patch, metav1.PatchOptions{})
}

// forbidden asks for what nobody here may do.
func (w *workload) forbidden(ctx context.Context, p person, name string) {
	_ = p.clients.CoreV1().ConfigMaps("kube-system").Delete(ctx, name, metav1.DeleteOptions{})
}

func (w *workload) deleteCollection(ctx context.Context, p person, _ string) {
	if w.random.IntN(4) != 0 {
		return
	}
	_ = p.clients.CoreV1().ConfigMaps(w.namespace).DeleteCollection(ctx, metav1.DeleteOptions{},
		metav1.ListOptions{LabelSelector: "owner=" + p.name})
}
