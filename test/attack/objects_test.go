package attack

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

// clientOf is a client that asks the API server for nothing by itself: who may not be impersonated may not even look around.
func clientOf(config *rest.Config) (client.Client, error) {
	return client.New(config, client.Options{Scheme: admin.Scheme(), Mapper: admin.RESTMapper()})
}

// toUnstructured is an object as apply takes it, without the fields that are never applied.
func toUnstructured(object client.Object) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("converting %s: %w", object.GetName(), err)
	}
	u := &unstructured.Unstructured{Object: content}
	unstructured.RemoveNestedField(u.Object, "status")
	return u, nil
}

// chunk is packed events of the project's trail that nobody recorded.
func chunk(namespace string) *v1alpha1.AuditEventChunk {
	return &v1alpha1.AuditEventChunk{
		ObjectMeta: named(namespace, "forged"),
		Spec: v1alpha1.AuditEventChunkSpec{
			TrailRef:             v1alpha1.TrailReference{Namespace: project.Namespace, Name: project.Name, UID: string(project.UID)},
			FirstResourceVersion: "1", LastResourceVersion: "2", Count: 1, Encoding: v1alpha1.ChunkJSONLinesGzip,
			Checksum: strings.Repeat("0", 64), Data: []byte("forged"),
		},
	}
}
