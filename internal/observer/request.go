package observer

import (
	"encoding/json"
	"fmt"
	"reflect"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// requestOf is a change as an admission request would have shown it, but for who asked. Before or after is nil.
func requestOf(resource schema.GroupVersionResource, before, after *unstructured.Unstructured) (*admissionv1.AdmissionRequest, error) {
	subject := after
	if after == nil {
		subject = before
	}
	kind := subject.GroupVersionKind()
	request := &admissionv1.AdmissionRequest{
		Kind:     metav1.GroupVersionKind(kind),
		Resource: metav1.GroupVersionResource(resource),
		Name:     subject.GetName(),
	}
	switch {
	case before == nil:
		request.Operation = admissionv1.Create
	case after == nil:
		request.Operation = admissionv1.Delete
	default:
		request.Operation = admissionv1.Update
		if onlyStatus(before, after) {
			request.SubResource = "status"
		}
	}
	var err error
	if request.OldObject.Raw, err = encode(before); err != nil {
		return nil, err
	}
	if request.Object.Raw, err = encode(after); err != nil {
		return nil, err
	}
	if after != nil {
		request.Options, err = options(latestManager(after))
	}
	return request, err
}

// onlyStatus says that an update changed the status and nothing else that anybody decides, which only an update of that
// subresource does.
func onlyStatus(before, after *unstructured.Unstructured) bool {
	return !reflect.DeepEqual(before.Object["status"], after.Object["status"]) &&
		reflect.DeepEqual(withoutStatus(before), withoutStatus(after))
}

func withoutStatus(object *unstructured.Unstructured) map[string]any {
	rest := object.DeepCopy()
	rest.SetManagedFields(nil)
	rest.SetResourceVersion("")
	delete(rest.Object, "status")
	return rest.Object
}

func encode(object *unstructured.Unstructured) ([]byte, error) {
	if object == nil {
		return nil, nil
	}
	encoded, err := object.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encoding %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return encoded, nil
}

func options(manager string) (runtime.RawExtension, error) {
	if manager == "" {
		return runtime.RawExtension{}, nil
	}
	raw, err := json.Marshal(map[string]string{"fieldManager": manager})
	return runtime.RawExtension{Raw: raw}, err
}

// latestManager is who is noted as the last to write to the object; empty when nobody is.
func latestManager(object *unstructured.Unstructured) string {
	var latest metav1.ManagedFieldsEntry
	for _, entry := range object.GetManagedFields() {
		if entry.Subresource == "" && entry.Time != nil && (latest.Time == nil || !entry.Time.Before(latest.Time)) {
			latest = entry
		}
	}
	return latest.Manager
}

// slim leaves out which fields a manager owns: it is as large as the object, and nobody asks.
func slim(object any) (any, error) {
	if o, ok := object.(*unstructured.Unstructured); ok {
		entries := o.GetManagedFields()
		for i := range entries {
			entries[i].FieldsV1 = nil
		}
		o.SetManagedFields(entries)
	}
	return object, nil
}
