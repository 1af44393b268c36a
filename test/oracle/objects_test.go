package oracle

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	applyv1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
)

const finalizer = "example.com/held"

func (p *person) configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"owner": p.name}},
		Data:       map[string]string{"value": p.value()},
	}
}

func (p *person) createConfigMap(ctx context.Context, namespace string) {
	_, _ = p.clients.CoreV1().ConfigMaps(namespace).Create(ctx, p.configMap(p.anyName()), metav1.CreateOptions{})
}

// createUntilDone tries again at once what was refused.
func (p *person) createUntilDone(ctx context.Context, namespace string) {
	object := p.configMap(p.anyName())
	for range 4 {
		if _, err := p.clients.CoreV1().ConfigMaps(namespace).Create(ctx, object, metav1.CreateOptions{}); err == nil {
			return
		}
	}
}

func (p *person) updateConfigMap(ctx context.Context, namespace string) {
	object, err := p.clients.CoreV1().ConfigMaps(namespace).Get(ctx, p.anyName(), metav1.GetOptions{})
	if err != nil {
		return
	}
	object.Data = map[string]string{"value": p.value()}
	if p.random.IntN(3) == 0 {
		object.ResourceVersion = "" // Whatever is there now.
	}
	options := metav1.UpdateOptions{FieldManager: []string{"", "editor", p.name}[p.random.IntN(3)]}
	for range 1 + p.random.IntN(3) {
		if _, err = p.clients.CoreV1().ConfigMaps(namespace).Update(ctx, object, options); err == nil {
			return
		}
	}
}

func (p *person) patchConfigMap(ctx context.Context, namespace string) {
	name, configMaps := p.anyName(), p.clients.CoreV1().ConfigMaps(namespace)
	var kind types.PatchType
	var body string
	switch p.random.IntN(5) {
	case 0:
		kind, body = types.JSONPatchType, fmt.Sprintf(`[{"op":"add","path":"/data/value","value":%q}]`, p.value())
	case 1:
		kind, body = types.StrategicMergePatchType, fmt.Sprintf(`{"metadata":{"labels":{"mark":%q}}}`, p.value())
	case 2:
		kind, body = types.MergePatchType, fmt.Sprintf(`{"metadata":{"annotations":{"audit.trailkeeper.dev/note":"because of %s"}}}`, p.value())
	default:
		kind, body = types.MergePatchType, fmt.Sprintf(`{"data":{"value":%q}}`, p.value())
	}
	for range 1 + p.random.IntN(2) {
		if _, err := configMaps.Patch(ctx, name, kind, []byte(body), metav1.PatchOptions{}); err == nil {
			return
		}
	}
}

func (p *person) applyConfigMap(ctx context.Context, namespace string) {
	object := applyv1.ConfigMap(p.anyName(), namespace).WithData(map[string]string{"applied": p.value()})
	manager := []string{"gitops", "helm"}[p.random.IntN(2)]
	_, _ = p.clients.CoreV1().ConfigMaps(namespace).Apply(ctx, object, metav1.ApplyOptions{FieldManager: manager, Force: true})
}

func (p *person) deleteConfigMap(ctx context.Context, namespace string) {
	options := metav1.DeleteOptions{}
	if p.random.IntN(5) == 0 {
		options.PropagationPolicy = ptr.To(metav1.DeletePropagationForeground)
	}
	_ = p.clients.CoreV1().ConfigMaps(namespace).Delete(ctx, p.anyName(), options)
}

// deleteWithPreconditions asks for a version that may not be the present one.
func (p *person) deleteWithPreconditions(ctx context.Context, namespace string) {
	name, configMaps := p.anyName(), p.clients.CoreV1().ConfigMaps(namespace)
	object, err := configMaps.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return
	}
	options := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &object.ResourceVersion}}
	switch p.random.IntN(3) {
	case 0:
		options.Preconditions = &metav1.Preconditions{UID: ptr.To(types.UID("another"))}
	case 1:
		options.Preconditions.ResourceVersion = ptr.To("1")
	}
	_ = configMaps.Delete(ctx, name, options)
}

func (p *person) generateName(ctx context.Context, namespace string) {
	object := p.configMap("")
	object.GenerateName = p.name + "-made-"
	_, _ = p.clients.CoreV1().ConfigMaps(namespace).Create(ctx, object, metav1.CreateOptions{})
}

// conflict updates from an old version.
func (p *person) conflict(ctx context.Context, namespace string) {
	object, err := p.clients.CoreV1().ConfigMaps(namespace).Get(ctx, p.anyName(), metav1.GetOptions{})
	if err != nil {
		return
	}
	object.ResourceVersion, object.Data = "1", map[string]string{"value": "from the past"}
	_, _ = p.clients.CoreV1().ConfigMaps(namespace).Update(ctx, object, metav1.UpdateOptions{})
}

func (p *person) dryRun(ctx context.Context, namespace string) {
	all, configMaps := []string{metav1.DryRunAll}, p.clients.CoreV1().ConfigMaps(namespace)
	switch p.random.IntN(3) {
	case 0:
		_, _ = configMaps.Create(ctx, p.configMap(p.anyName()), metav1.CreateOptions{DryRun: all})
	case 1:
		_ = configMaps.Delete(ctx, p.anyName(), metav1.DeleteOptions{DryRun: all})
	default:
		body := []byte(`{"data":{"value":"dry"}}`)
		_, _ = configMaps.Patch(ctx, p.anyName(), types.MergePatchType, body, metav1.PatchOptions{DryRun: all})
	}
}

// holdByFinalizer makes an object that its deletion only marks, and asks for that now and then, also twice.
func (p *person) holdByFinalizer(ctx context.Context, namespace string) {
	configMaps := p.clients.CoreV1().ConfigMaps(namespace)
	object := p.configMap(fmt.Sprintf("held-%d", p.random.IntN(8)))
	object.Finalizers = []string{finalizer}
	_, _ = configMaps.Create(ctx, object, metav1.CreateOptions{})
	for range p.random.IntN(3) {
		_ = configMaps.Delete(ctx, object.Name, metav1.DeleteOptions{})
	}
}

// changeFinalizers adds finalizers to other objects, or removes them, which may complete a deletion.
func (p *person) changeFinalizers(ctx context.Context, namespace string) {
	body := `{"metadata":{"finalizers":null}}`
	if p.random.IntN(4) == 0 {
		body = `{"metadata":{"finalizers":["` + finalizer + `","example.com/other"]}}`
	}
	name := fmt.Sprintf("held-%d", p.random.IntN(8))
	_, _ = p.clients.CoreV1().ConfigMaps(namespace).Patch(ctx, name, types.MergePatchType, []byte(body), metav1.PatchOptions{})
}

func (p *person) deleteCollection(ctx context.Context, namespace string) {
	_ = p.clients.CoreV1().ConfigMaps(namespace).DeleteCollection(ctx, metav1.DeleteOptions{},
		metav1.ListOptions{LabelSelector: "owner=" + p.name})
}

// impersonate makes a change as somebody else.
func (p *person) impersonate(ctx context.Context, namespace string) {
	config := rest.CopyConfig(p.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "user-as-" + p.name, Groups: []string{"people"}}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return
	}
	_, _ = clients.CoreV1().ConfigMaps(namespace).Create(ctx, p.configMap(p.anyName()), metav1.CreateOptions{})
}

// giveUp does not wait for the answer.
func (p *person) giveUp(ctx context.Context, namespace string) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(1+p.random.IntN(20))*time.Millisecond)
	defer cancel()
	p.patchConfigMap(ctx, namespace)
}

func (p *person) createWidget(ctx context.Context, namespace string) {
	widget := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Widget", "metadata": map[string]any{"name": p.anyName()},
		"spec": map[string]any{"size": int64(p.random.IntN(4)), "replicas": int64(1)},
	}}
	_, _ = p.widgets.Namespace(namespace).Create(ctx, widget, metav1.CreateOptions{})
}

func (p *person) patchWidget(ctx context.Context, namespace string) {
	body := []byte(fmt.Sprintf(`{"spec":{"size":%s}}`, p.value()))
	_, _ = p.widgets.Namespace(namespace).Patch(ctx, p.anyName(), types.MergePatchType, body, metav1.PatchOptions{})
}

func (p *person) patchWidgetStatus(ctx context.Context, namespace string) {
	body := []byte(fmt.Sprintf(`{"status":{"phase":%q,"replicas":1}}`, p.value()))
	_, _ = p.widgets.Namespace(namespace).Patch(ctx, p.anyName(), types.MergePatchType, body, metav1.PatchOptions{}, "status")
}

func (p *person) scaleWidget(ctx context.Context, namespace string) {
	body := []byte(fmt.Sprintf(`{"spec":{"replicas":%s}}`, p.value()))
	_, _ = p.widgets.Namespace(namespace).Patch(ctx, p.anyName(), types.MergePatchType, body, metav1.PatchOptions{}, "scale")
}

func (p *person) deleteWidget(ctx context.Context, namespace string) {
	_ = p.widgets.Namespace(namespace).Delete(ctx, p.anyName(), metav1.DeleteOptions{})
}
