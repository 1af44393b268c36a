package recording

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// customKinds are a product's own kinds. Some begin with a lower-case letter, some are named like everyday words, one
// like a kind of Kubernetes but for its case.
var customKinds = []string{
	"apiKey", "appdeployment", "appprofile", "cloudaccount", "clustergroup", "clusterprofile", "edgehost", "edgetoken",
	"filter", "location", "plan", "privategateway", "project", "registry", "role", "spectrocluster", "sshkey", "team",
	"user", "virtualCluster", "workspace",
}

var customGroup = schema.GroupVersion{Group: "kinds.example.com", Version: "v1"}

// customResourceDefinition defines a namespaced kind with whatever spec.
func customResourceDefinition(kind string) *unstructured.Unstructured {
	singular := strings.ToLower(kind)
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata":   map[string]any{"name": singular + "s." + customGroup.Group},
		"spec": map[string]any{
			"group": customGroup.Group,
			"scope": "Namespaced",
			"names": map[string]any{"kind": kind, "singular": singular, "plural": singular + "s"},
			"versions": []any{map[string]any{
				"name": customGroup.Version, "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{
					"type": "object", "properties": map[string]any{
						"spec": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true},
					},
				}},
			}},
		},
	}}
}

func customObject(namespace, kind string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"size": "small"}}}
	object.SetGroupVersionKind(customGroup.WithKind(kind))
	object.SetNamespace(namespace)
	object.SetName("my-" + strings.ToLower(kind))
	return object
}

func TestCustomKinds(t *testing.T) {
	t.Parallel()
	for _, kind := range customKinds {
		NewWithT(t).Expect(admin.Create(t.Context(), customResourceDefinition(kind))).To(Succeed())
	}
	// The rule has them in another case, and one half of them only.
	var ruled []string
	for i, kind := range customKinds {
		if i%2 == 0 {
			ruled = append(ruled, strings.ToUpper(kind))
		}
	}
	namespace := newProject(t)
	const some = "some"
	startTrail(t, clusterOnly(namespace, some,
		v1alpha1.Rule{Level: v1alpha1.LevelMetadata, Kinds: append(ruled, "ConfigMap")}), namespace)

	for i, kind := range customKinds {
		t.Run(kind, func(t *testing.T) {
			g := NewWithT(t)
			object := customObject(namespace, kind)
			// A kind is served some time after its definition.
			g.Eventually(func() error { return aliceClient.Create(t.Context(), object) }).WithTimeout(patience).Should(Succeed())
			g.Expect(aliceClient.Patch(t.Context(), object,
				client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"size":"large"}}`)))).To(Succeed())
			g.Expect(aliceClient.Delete(t.Context(), object)).To(Succeed())

			all := []v1alpha1.Action{v1alpha1.ActionCreate, v1alpha1.ActionUpdate, v1alpha1.ActionDelete}
			// An API server whose cache lags validates a change once more; delivery finds out that the first try did not stick.
			g.Eventually(func(g Gomega) {
				actions := map[string][]v1alpha1.Action{}
				var found v1alpha1.AuditEventList
				g.Expect(admin.List(t.Context(), &found, client.InNamespace(namespace), client.MatchingFields{v1alpha1.FieldKind: kind})).To(Succeed())
				for _, event := range found.Items {
					g.Expect(event.Spec.Resource.Kind).To(Equal(kind))
					g.Expect(event.Spec.Resource.Group).To(Equal(customGroup.Group))
					g.Expect(event.Spec.Resource.UID).To(BeEquivalentTo(object.GetUID()))
					if event.Status.Outcome != v1alpha1.OutcomeNotPersisted {
						actions[event.Spec.TrailRef.Name] = append(actions[event.Spec.TrailRef.Name], event.Spec.Action)
					}
				}
				g.Expect(actions["project"]).To(Equal(all))
				if i%2 == 0 {
					g.Expect(actions[some]).To(Equal(all))
				} else {
					g.Expect(actions[some]).To(BeEmpty())
				}
			}).WithTimeout(patience).WithPolling(100 * time.Millisecond).Should(Succeed())
		})
	}
}

func TestFieldManagers(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t,
		v1alpha1.Rule{Level: v1alpha1.LevelNone, FieldManagers: []string{"noisy-*"}},
		v1alpha1.Rule{Level: v1alpha1.LevelMetadata, FieldManagers: []string{"helm"}, Resources: resources("", "services")},
		v1alpha1.Rule{Level: v1alpha1.LevelMetadata, Kinds: []string{"configmap", "podexecoptions"}},
	)
	for _, manager := range []string{"noisy-controller", "helm", ""} {
		object := configMap("by-" + manager + "x")
		object.Namespace = namespace
		g.Expect(aliceClient.Create(t.Context(), object, client.FieldOwner(manager))).To(Succeed())
		// A deletion has no field manager.
		g.Expect(aliceClient.Delete(t.Context(), object)).To(Succeed())
	}
	var seen []string
	for _, event := range events(t, namespace) {
		seen = append(seen, string(event.Action)+" "+event.Resource.Name)
	}
	g.Expect(seen).To(Equal([]string{
		"Delete by-noisy-controllerx", "Create by-helmx", "Delete by-helmx", "Create by-x", "Delete by-x",
	}))

	// The filter must not fail on a connection, whose options are null.
	newPod(t, namespace, "node-5")
	response := alice.CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").Name("pod").SubResource("exec").
		Param("command", "true").Do(t.Context())
	g.Expect(response.Error()).To(HaveOccurred(), "there is no node that could run it")
	g.Expect(events(t, namespace, ofKind("PodExecOptions"))).To(HaveLen(1))
}

// TestObjectsOfADeletedDefinitionGoUnseen: the API server wipes them itself, past admission and its own audit log.
func TestObjectsOfADeletedDefinitionGoUnseen(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	const kind = "Wiped"
	definition := customResourceDefinition(kind)
	tenant, namespace := newTenant(t, v1alpha1.Rule{
		Level: v1alpha1.LevelMetadata, Names: []string{definition.GetName()}, Kinds: []string{"CustomResourceDefinition"},
	}, v1alpha1.Rule{Level: v1alpha1.LevelMetadata, Kinds: []string{kind}})
	g.Expect(aliceClient.Create(t.Context(), definition)).To(Succeed())
	object := customObject(namespace, kind)
	g.Eventually(func() error { return aliceClient.Create(t.Context(), object) }).WithTimeout(patience).Should(Succeed())
	g.Expect(aliceClient.Delete(t.Context(), definition)).To(Succeed())
	g.Eventually(func() error { return admin.Get(t.Context(), client.ObjectKeyFromObject(definition), definition) }).
		WithTimeout(patience).Should(MatchError(apierrors.IsNotFound, "gone"))

	var seen []string
	for _, event := range events(t, testenv.OperatorNamespace, ofTrail(tenant)) {
		if event.Resource.Subresource == "" {
			seen = append(seen, event.Actor.Username+" "+string(event.Action)+" "+event.Resource.Kind)
		}
	}
	g.Expect(seen).To(Equal([]string{
		person + " Create CustomResourceDefinition", person + " Create Wiped", person + " Delete CustomResourceDefinition",
	}))
}
