package oracle

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// kind is one of the API's kinds, and how an object of it begins.
type kind struct {
	schema.GroupVersionResource
	// kind is its name, and cluster says that it is in no namespace.
	kind    string
	cluster bool
	// body is what an object has besides its metadata; %[1]s is its name.
	body string
	// patches are merge patches that people make besides labels, some of which the API server refuses.
	patches []string
	// status is a merge patch of the status subresource.
	status string
	// others are further versions or groups in which the same objects are served.
	others []schema.GroupVersionResource
}

func in(group, version, resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: version, Resource: resource}
}

const web = `{"containers":[{"name":"web","image":"example.com/web:1"}],"restartPolicy":"%s"}`

// kinds are of what people make besides what the other tasks are about. Each has something of its own: names that are given out,
// finalizers that the control plane adds, several versions, what deletes others, what may not be written.
var kinds = []kind{
	{in("", "v1", "services"), "Service", false, `"spec":{"ports":[{"port":80}],"selector":{"app":"pod"}}`,
		[]string{`{"spec":{"type":"NodePort"}}`, `{"spec":{"type":"ClusterIP"}}`, `{"spec":{"type":"ExternalName"}}`}, `{"status":{"loadBalancer":{}}}`, nil},
	{in("", "v1", "serviceaccounts"), "ServiceAccount", false, ``, []string{`{"automountServiceAccountToken":false}`}, ``, nil},
	{in("", "v1", "persistentvolumeclaims"), "PersistentVolumeClaim", false,
		`"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}`, []string{`{"spec":{"volumeName":"none"}}`}, ``, nil},
	{in("", "v1", "persistentvolumes"), "PersistentVolume", true,
		`"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],"storageClassName":"no-%[1]s","hostPath":{"path":"/tmp"}}`,
		[]string{`{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`, `{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}`}, ``, nil},
	{in("", "v1", "replicationcontrollers"), "ReplicationController", false,
		`"spec":{"replicas":0,"selector":{"rc":"%[1]s"},"template":{"metadata":{"labels":{"rc":"%[1]s"}},"spec":` + fmt.Sprintf(web, "Always") + `}}`,
		[]string{`{"spec":{"replicas":1}}`, `{"spec":{"replicas":0}}`}, ``, nil},
	{in("", "v1", "limitranges"), "LimitRange", false, `"spec":{"limits":[{"type":"PersistentVolumeClaim","max":{"storage":"2Gi"}}]}`, nil, ``, nil},
	{in("apps", "v1", "statefulsets"), "StatefulSet", false,
		`"spec":{"replicas":0,"serviceName":"x","selector":{"matchLabels":{"set":"%[1]s"}},"template":{"metadata":{"labels":{"set":"%[1]s"}},"spec":` +
			fmt.Sprintf(web, "Always") + `}}`, []string{`{"spec":{"replicas":1}}`, `{"spec":{"serviceName":"y"}}`}, ``, nil},
	{in("apps", "v1", "daemonsets"), "DaemonSet", false,
		`"spec":{"selector":{"matchLabels":{"set":"%[1]s"}},"template":{"metadata":{"labels":{"set":"%[1]s"}},"spec":` + fmt.Sprintf(web, "Always") + `}}`,
		[]string{`{"spec":{"minReadySeconds":1}}`}, ``, nil},
	{in("batch", "v1", "jobs"), "Job", false, `"spec":{"suspend":true,"template":{"spec":` + fmt.Sprintf(web, "Never") + `}}`,
		[]string{`{"spec":{"suspend":false}}`, `{"spec":{"suspend":true}}`, `{"spec":{"completions":7}}`}, ``, nil},
	{in("batch", "v1", "cronjobs"), "CronJob", false,
		`"spec":{"schedule":"* * * * *","suspend":true,"jobTemplate":{"spec":{"template":{"spec":` + fmt.Sprintf(web, "Never") + `}}}}`,
		[]string{`{"spec":{"schedule":"1 * * * *"}}`, `{"spec":{"schedule":"wrong"}}`}, ``, nil},
	{in("autoscaling", "v2", "horizontalpodautoscalers"), "HorizontalPodAutoscaler", false,
		`"spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"none"},"maxReplicas":3}`,
		[]string{`{"spec":{"maxReplicas":4}}`, `{"spec":{"maxReplicas":0}}`}, `{"status":{"desiredReplicas":1}}`,
		[]schema.GroupVersionResource{in("autoscaling", "v1", "horizontalpodautoscalers")}},
	{in("networking.k8s.io", "v1", "networkpolicies"), "NetworkPolicy", false, `"spec":{"podSelector":{}}`,
		[]string{`{"spec":{"policyTypes":["Egress"]}}`, `{"spec":{"policyTypes":["Ingress"]}}`}, ``, nil},
	{in("networking.k8s.io", "v1", "ingresses"), "Ingress", false, `"spec":{"defaultBackend":{"service":{"name":"x","port":{"number":80}}}}`,
		[]string{`{"spec":{"ingressClassName":"a"}}`}, `{"status":{"loadBalancer":{"ingress":[{"ip":"10.0.0.1"}]}}}`, nil},
	{in("discovery.k8s.io", "v1", "endpointslices"), "EndpointSlice", false, `"addressType":"IPv4","endpoints":[]`,
		[]string{`{"endpoints":[{"addresses":["10.1.1.1"]}]}`, `{"addressType":"IPv6"}`}, ``, nil},
	{in("rbac.authorization.k8s.io", "v1", "roles"), "Role", false, `"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["get"]}]`,
		[]string{`{"rules":[]}`, `{"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["list"]}]}`}, ``, nil},
	{in("rbac.authorization.k8s.io", "v1", "rolebindings"), "RoleBinding", false,
		`"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"none"}`,
		[]string{`{"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"x"}]}`, `{"roleRef":{"name":"other"}}`}, ``, nil},
	{in("rbac.authorization.k8s.io", "v1", "clusterroles"), "ClusterRole", true, `"rules":[]`,
		[]string{`{"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["list"]}]}`}, ``, nil},
	{in("scheduling.k8s.io", "v1", "priorityclasses"), "PriorityClass", true, `"value":7`, []string{`{"description":"x"}`, `{"value":8}`}, ``, nil},
	{in("storage.k8s.io", "v1", "storageclasses"), "StorageClass", true, `"provisioner":"example.com/none"`,
		[]string{`{"allowVolumeExpansion":true}`, `{"provisioner":"example.com/other"}`}, ``, nil},
	{in("apiextensions.k8s.io", "v1", "customresourcedefinitions"), "CustomResourceDefinition", true,
		`"spec":{"group":"oracle.example.com","scope":"Namespaced","names":{"plural":"%[1]s","singular":"%[1]s","kind":"K%[1]s"},` +
			`"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}`,
		[]string{`{"spec":{"conversion":{"strategy":"None"}}}`, `{"spec":{"scope":"Cluster"}}`}, ``, nil},
	{in("certificates.k8s.io", "v1", "certificatesigningrequests"), "CertificateSigningRequest", true,
		`"spec":{"signerName":"example.com/none","usages":["client auth"],"request":"` + signingRequest + `"}`, nil, ``, nil},
}

// nameOf is one of a few names of objects of the kind.
func (k *kind) nameOf(p *person) string {
	name := fmt.Sprintf("other%d", p.random.IntN(5))
	if k.Resource == "customresourcedefinitions" {
		name += ".oracle.example.com"
	}
	return name
}

// otherKind changes an object of one of the kinds.
func (p *person) otherKind(ctx context.Context, namespace string) {
	k := &kinds[p.random.IntN(len(kinds))]
	client, err := dynamic.NewForConfig(p.config)
	if err != nil {
		return
	}
	where := k.GroupVersionResource
	if n := p.random.IntN(2 + len(k.others)); n >= 2 {
		where = k.others[n-2]
	}
	var objects dynamic.ResourceInterface = client.Resource(where)
	if !k.cluster {
		objects = client.Resource(where).Namespace(namespace)
	}
	name := k.nameOf(p)
	switch p.random.IntN(8) {
	case 0, 1, 2:
		p.createOther(ctx, k, objects, name)
	case 3:
		body := fmt.Sprintf(`{"metadata":{"labels":{"mark":%q}}}`, p.value())
		_, _ = objects.Patch(ctx, name, types.MergePatchType, []byte(body), metav1.PatchOptions{})
	case 4:
		p.patchOther(ctx, k, objects, name)
	case 5:
		p.replaceOther(ctx, objects, name)
	default:
		p.deleteOther(ctx, objects, name)
	}
}

func (p *person) createOther(ctx context.Context, k *kind, objects dynamic.ResourceInterface, name string) {
	short, comma := name, ""
	if k.Resource == "customresourcedefinitions" {
		short = name[:len("other0")]
	}
	if k.body != "" {
		comma = ","
	}
	object := &unstructured.Unstructured{}
	text := fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q,"labels":{"mark":"0"}}%s%s}`,
		k.GroupVersion().String(), k.kind, name, comma, strings.ReplaceAll(k.body, "%[1]s", short))
	if err := json.Unmarshal([]byte(text), &object.Object); err != nil {
		panic(err)
	}
	if p.random.IntN(3) == 0 && k.others == nil {
		_, _ = objects.Apply(ctx, name, object, metav1.ApplyOptions{FieldManager: "gitops", Force: p.random.IntN(2) == 0})
		return
	}
	_, _ = objects.Create(ctx, object, metav1.CreateOptions{})
}

func (p *person) patchOther(ctx context.Context, k *kind, objects dynamic.ResourceInterface, name string) {
	switch {
	case k.status != "" && p.random.IntN(3) == 0:
		_, _ = objects.Patch(ctx, name, types.MergePatchType, []byte(k.status), metav1.PatchOptions{}, "status")
	case len(k.patches) > 0:
		_, _ = objects.Patch(ctx, name, types.MergePatchType, []byte(k.patches[p.random.IntN(len(k.patches))]), metav1.PatchOptions{})
	}
}

// replaceOther writes back what it read, with another label.
func (p *person) replaceOther(ctx context.Context, objects dynamic.ResourceInterface, name string) {
	object, err := objects.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return
	}
	object.SetLabels(map[string]string{"mark": p.value()})
	_, _ = objects.Update(ctx, object, metav1.UpdateOptions{})
}

func (p *person) deleteOther(ctx context.Context, objects dynamic.ResourceInterface, name string) {
	if p.random.IntN(6) == 0 {
		_ = objects.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "mark=" + p.value()})
		return
	}
	options := metav1.DeleteOptions{}
	if p.random.IntN(3) == 0 {
		policy := []metav1.DeletionPropagation{
			metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan,
		}[p.random.IntN(3)]
		options.PropagationPolicy = &policy
	}
	_ = objects.Delete(ctx, name, options)
}

// podPart changes a pod through one of its subresources.
func (p *person) podPart(ctx context.Context, namespace string) {
	pods, name := p.clients.CoreV1().Pods(namespace), p.podName()
	switch p.random.IntN(6) {
	case 0, 1, 2:
		p.bindPod(ctx, namespace, name)
	case 3:
		body := fmt.Sprintf(`{"spec":{"ephemeralContainers":[{"name":"debug-%s","image":"example.com/debug:1"}]}}`, p.value())
		_, _ = pods.Patch(ctx, name, types.StrategicMergePatchType, []byte(body), metav1.PatchOptions{}, "ephemeralcontainers")
	case 4:
		body := fmt.Sprintf(`{"spec":{"containers":[{"name":"web","resources":{"requests":{"cpu":"%sm"}}}]}}`, p.value())
		_, _ = pods.Patch(ctx, name, types.StrategicMergePatchType, []byte(body), metav1.PatchOptions{}, "resize")
	default:
		body := fmt.Sprintf(`{"status":{"message":%q}}`, p.value())
		_, _ = pods.Patch(ctx, name, types.MergePatchType, []byte(body), metav1.PatchOptions{}, "status")
	}
}

// bindPod puts a pod on a node, if there is one: now and then it says which one, as schedulers do.
func (p *person) bindPod(ctx context.Context, namespace, name string) {
	pods := p.clients.CoreV1().Pods(namespace)
	binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: name}, Target: corev1.ObjectReference{Kind: "Node", Name: node}}
	pod, err := pods.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return
	}
	if p.random.IntN(2) == 0 {
		binding.UID = pod.UID
	}
	_ = pods.Bind(ctx, binding, metav1.CreateOptions{})
}

// signingRequest is a certificate request, as a CertificateSigningRequest has it.
var signingRequest = func() string {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	request, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}}, key)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}))
}()

// approve approves a certificate request, or denies it, which then cannot be taken back.
func (p *person) approve(ctx context.Context, _ string) {
	requests := p.clients.CertificatesV1().CertificateSigningRequests()
	request, err := requests.Get(ctx, fmt.Sprintf("other%d", p.random.IntN(5)), metav1.GetOptions{})
	if err != nil {
		return
	}
	decision := []certificatesv1.RequestConditionType{certificatesv1.CertificateApproved, certificatesv1.CertificateDenied}[p.random.IntN(2)]
	request.Status.Conditions = append(request.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: decision, Status: corev1.ConditionTrue, Reason: p.name,
	})
	_, _ = requests.UpdateApproval(ctx, request.Name, request, metav1.UpdateOptions{})
}
