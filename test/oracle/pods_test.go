package oracle

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
)

// workloadName is a name of a Deployment; there are few of them, because each has controllers write a lot.
func (p *person) workloadName() string { return fmt.Sprintf("app-%d", p.random.IntN(4)) }

func template(labels map[string]string, image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "example.com/web:" + image}}},
	}
}

func (p *person) createDeployment(ctx context.Context, namespace string) {
	name := p.workloadName()
	labels := map[string]string{"app": name}
	object := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To(int32(p.random.IntN(3))),
			Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template(labels, p.value()),
		},
	}
	_, _ = p.clients.AppsV1().Deployments(namespace).Create(ctx, object, metav1.CreateOptions{})
}

func (p *person) patchDeployment(ctx context.Context, namespace string) {
	body := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"example.com/web:%s"}]}}}}`, p.value())
	_, _ = p.clients.AppsV1().Deployments(namespace).
		Patch(ctx, p.workloadName(), types.StrategicMergePatchType, []byte(body), metav1.PatchOptions{})
}

func (p *person) scaleDeployment(ctx context.Context, namespace string) {
	body := fmt.Sprintf(`{"spec":{"replicas":%d}}`, p.random.IntN(3))
	_, _ = p.clients.AppsV1().Deployments(namespace).
		Patch(ctx, p.workloadName(), types.MergePatchType, []byte(body), metav1.PatchOptions{}, "scale")
}

func (p *person) deleteDeployment(ctx context.Context, namespace string) {
	policy := []metav1.DeletionPropagation{
		metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan,
	}[p.random.IntN(3)]
	_ = p.clients.AppsV1().Deployments(namespace).Delete(ctx, p.workloadName(), metav1.DeleteOptions{PropagationPolicy: &policy})
}

// podName is a name of a pod that no controller made.
func (p *person) podName() string { return fmt.Sprintf("pod-%d", p.random.IntN(6)) }

// createPod makes a pod, of which two thirds run. Of the rest, half are for people to bind, and half for the scheduler.
func (p *person) createPod(ctx context.Context, namespace string) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: p.podName()}}
	pod.Labels = map[string]string{"app": "pod"}
	pod.Spec = template(nil, "1").Spec
	if p.random.IntN(3) > 0 {
		pod.Spec.NodeName = node
	}
	if p.random.IntN(2) == 0 {
		pod.Spec.SchedulerName = "people"
	}
	if p.random.IntN(6) == 0 {
		pod.Finalizers = []string{finalizer}
	}
	_, _ = p.clients.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
}

func (p *person) labelPod(ctx context.Context, namespace string) {
	body := fmt.Sprintf(`{"metadata":{"labels":{"mark":%q}}}`, p.value())
	if p.random.IntN(2) == 0 {
		body = `{"metadata":{"finalizers":null}}`
	}
	_, _ = p.clients.CoreV1().Pods(namespace).
		Patch(ctx, p.podName(), types.MergePatchType, []byte(body), metav1.PatchOptions{})
}

// deletePod deletes a pod with its own grace, another, or none.
func (p *person) deletePod(ctx context.Context, namespace string) {
	options := metav1.DeleteOptions{}
	switch p.random.IntN(4) {
	case 0:
		options.GracePeriodSeconds = ptr.To[int64](0)
	case 1:
		options.GracePeriodSeconds = ptr.To[int64](5)
	}
	_ = p.clients.CoreV1().Pods(namespace).Delete(ctx, p.podName(), options)
}

func (p *person) evictPod(ctx context.Context, namespace string) {
	eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: p.podName()}}
	if p.random.IntN(4) == 0 {
		eviction.DeleteOptions = &metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}
	}
	_ = p.clients.CoreV1().Pods(namespace).EvictV1(ctx, eviction)
}

// createBudget makes, or removes, a disruption budget that refuses evictions.
func (p *person) createBudget(ctx context.Context, namespace string) {
	budgets := p.clients.PolicyV1().PodDisruptionBudgets(namespace)
	budget := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "all"},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: ptr.To(intstr.FromString("100%")),
			Selector:     &metav1.LabelSelector{MatchLabels: map[string]string{"app": "pod"}},
		},
	}
	if _, err := budgets.Create(ctx, budget, metav1.CreateOptions{}); err != nil {
		_ = budgets.Delete(ctx, "all", metav1.DeleteOptions{})
	}
}

// wholeNamespace makes a namespace with something in it, and deletes it whole.
func (p *person) wholeNamespace(ctx context.Context, _ string) {
	name := fmt.Sprintf("%s-%d", p.name, p.random.IntN(1000000))
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := p.clients.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return
	}
	for range 3 {
		p.createConfigMap(ctx, name)
		p.holdByFinalizer(ctx, name)
	}
	_ = p.clients.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
	p.createConfigMap(ctx, name)
	for i := range 8 {
		_, _ = p.clients.CoreV1().ConfigMaps(name).Patch(ctx, fmt.Sprintf("held-%d", i), types.MergePatchType,
			[]byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	}
}

func (p *person) requestToken(ctx context.Context, namespace string) {
	_, _ = p.clients.CoreV1().ServiceAccounts(namespace).
		CreateToken(ctx, "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
}

// exec asks for a command in a pod, which no kubelet is there to run.
func (p *person) exec(ctx context.Context, namespace string) {
	options := &corev1.PodExecOptions{Command: []string{"true"}, Stdout: true}
	_ = p.clients.CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").Name(p.podName()).
		SubResource("exec").VersionedParams(options, scheme.ParameterCodec).Do(ctx).Error()
}
