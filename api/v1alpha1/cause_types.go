package v1alpha1

// CauseReason is how one change led to another.
// +kubebuilder:validation:Enum=Eviction;GarbageCollection;NamespaceDeletion;OwnerReference
type CauseReason string

const (
	// CauseEviction says that a pod was deleted by an eviction.
	CauseEviction CauseReason = "Eviction"
	// CauseGarbageCollection says that an object was deleted because an owner of it was.
	CauseGarbageCollection CauseReason = "GarbageCollection"
	// CauseNamespaceDeletion says that an object was deleted because its namespace was.
	CauseNamespaceDeletion CauseReason = "NamespaceDeletion"
	// CauseOwnerReference says that a controller made the change for the object's owner, which was changed before.
	CauseOwnerReference CauseReason = "OwnerReference"
)

// Cause is what led to a change.
type Cause struct {
	// reason is how it led to it: Eviction, GarbageCollection, NamespaceDeletion or OwnerReference.
	// +required
	Reason CauseReason `json:"reason,omitempty"`

	// event is the AuditEvent of the same trail that started it, as namespace/name; absent for an Eviction, which is
	// the event itself.
	// +optional
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=317
	Event string `json:"event,omitempty"`
}
