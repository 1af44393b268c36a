package audit

import (
	"encoding/json"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// deletion is what a request asks of a deletion.
type deletion struct {
	// policy is what becomes of the dependents; empty when the kind decides.
	policy metav1.DeletionPropagation
	// grace is how many seconds the object may take to end; nil when the kind decides.
	grace *int64
}

// deletionOf reads what a request asks of a deletion: in its options, or in an eviction's own. Options that cannot be read lose a hint,
// not the record.
func deletionOf(r *admissionv1.AdmissionRequest) deletion {
	var options metav1.DeleteOptions
	switch {
	case r.Operation == admissionv1.Delete:
		_ = json.Unmarshal(r.Options.Raw, &options)
	case IsEviction(r):
		options = evictionOptions(r)
	}
	asked := deletion{grace: options.GracePeriodSeconds}
	switch policy := ptr.Deref(options.PropagationPolicy, ""); {
	case slices.Contains([]metav1.DeletionPropagation{
		metav1.DeletePropagationOrphan, metav1.DeletePropagationBackground, metav1.DeletePropagationForeground,
	}, policy):
		asked.policy = policy
	case options.OrphanDependents == nil: //nolint:staticcheck // Old clients still send it.
	case *options.OrphanDependents: //nolint:staticcheck // As above.
		asked.policy = metav1.DeletePropagationOrphan
	default:
		asked.policy = metav1.DeletePropagationBackground
	}
	return asked
}

// evictionOptions are the delete options that an eviction carries.
func evictionOptions(r *admissionv1.AdmissionRequest) metav1.DeleteOptions {
	var eviction struct {
		DeleteOptions metav1.DeleteOptions `json:"deleteOptions"`
	}
	_ = json.Unmarshal(r.Object.Raw, &eviction)
	return eviction.DeleteOptions
}

// changesPropagation says that a deletion asks for another treatment of dependents than an earlier one did: the API server
// keeps that in finalizers of its own.
func (c *Change) changesPropagation() bool {
	policy := c.info.PropagationPolicy
	if policy == "" {
		return false
	}
	finalizers, _ := field(c.before, "metadata", "finalizers").([]any)
	return slices.Contains(finalizers, any(metav1.FinalizerOrphanDependents)) != (policy == metav1.DeletePropagationOrphan) ||
		slices.Contains(finalizers, any(metav1.FinalizerDeleteDependents)) != (policy == metav1.DeletePropagationForeground)
}
