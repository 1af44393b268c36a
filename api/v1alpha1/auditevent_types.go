package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Action is what somebody did.
// +kubebuilder:validation:Enum=Create;Update;Delete;Connect;Notice
type Action string

const (
	// ActionCreate created an object.
	ActionCreate Action = "Create"
	// ActionUpdate changed an object.
	ActionUpdate Action = "Update"
	// ActionDelete deleted an object, or asked for it: while finalizers remain, changes show the deletionTimestamp.
	ActionDelete Action = "Delete"
	// ActionConnect opened a connection to an object.
	ActionConnect Action = "Connect"
	// ActionNotice is no change: it tells what happened to recording itself. No rule chooses it.
	ActionNotice Action = "Notice"
)

// NoVersion is the resource's version in the eviction of a pod that was not there.
const NoVersion = "0"

// Outcome says whether an admitted change stuck. Admission is intent: later validators, quota or a conflict can
// still refuse the change.
// +kubebuilder:validation:Enum=Persisted;NotPersisted;Unknown
type Outcome string

const (
	// OutcomePersisted means that the change was seen in the cluster. It is not written to AuditEvents, only to
	// delivered records.
	OutcomePersisted Outcome = "Persisted"
	// OutcomeNotPersisted means that the change was admitted but not made.
	OutcomeNotPersisted Outcome = "NotPersisted"
	// OutcomeUnknown means that it cannot be told: overwritten in between, or the operator may not read the object.
	OutcomeUnknown Outcome = "Unknown"
)

// AuditEventSpec is the immutable record of one change, as one trail asked for it.
//
// +kubebuilder:validation:XValidation:rule="has(self.notice) == (self.action == 'Notice')",message="notice is set when action is Notice, and only then"
// +kubebuilder:validation:XValidation:rule="has(self.request) || self.action == 'Notice'",message="request is missing: only a Notice has none"
type AuditEventSpec struct {
	// id names the change: the same for every trail's copy, and for repeated calls of the API server for one change.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	ID string `json:"id,omitempty"`

	// time is when the recorder received the request, by its own clock.
	// +required
	Time metav1.MicroTime `json:"time,omitzero"`

	// action is what was done: Create, Update, Delete or Connect; Notice when nothing was, but recording itself has
	// something to tell.
	// +required
	Action Action `json:"action,omitempty"`

	// trailRef is the trail that asked for this record.
	// +required
	TrailRef TrailReference `json:"trailRef,omitzero"`

	// actor is who did it.
	// +required
	Actor Actor `json:"actor,omitzero"`

	// resource is the object it was done to.
	// +required
	Resource ResourceReference `json:"resource,omitzero"`

	// request is how it was asked for; absent for a Notice.
	// +optional
	Request *RequestInfo `json:"request,omitempty"`

	// cause is what led to this change, when the replica that recorded it knew.
	// +optional
	Cause *Cause `json:"cause,omitempty"`

	// notice is what happened to recording itself, when action is Notice.
	// +optional
	Notice *Notice `json:"notice,omitempty"`

	// note is why, in the words of who did it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Note string `json:"note,omitempty"`

	// level is how much was recorded: Metadata, Changes or Object.
	// +required
	// +kubebuilder:validation:Enum=Metadata;Changes;Object
	Level Level `json:"level,omitempty"`

	// changes turn the old object into the new one (RFC 6902), without managedFields, resourceVersion and generation.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4096
	Changes []Change `json:"changes,omitempty"`

	// object is the whole object after the change; for a Delete, before it.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	Object *runtime.RawExtension `json:"object,omitempty"`

	// evidence is what the outcome is judged by: digests of values that this change wrote.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Evidence []Evidence `json:"evidence,omitempty"`

	// redacted are the paths whose values were replaced by a digest.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4096
	// +kubebuilder:validation:items:MaxLength=4096
	Redacted []string `json:"redacted,omitempty"`

	// truncated says what was left out because the event was too large.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=64
	Truncated []string `json:"truncated,omitempty"`
}

// TrailReference names a trail.
type TrailReference struct {
	// namespace of the trail.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`

	// name of the trail.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// uid of the trail; a trail that is made again under the same name has another.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid,omitempty"`
}

// Actor is who made a change, as the API server authenticated them. An impersonated user is shown as such a user.
type Actor struct {
	// type is User, ServiceAccount, Node or ControlPlane; Unknown for a change that was watched and not asked of a webhook.
	// +required
	Type ActorType `json:"type,omitempty"`

	// username as authenticated.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Username string `json:"username,omitempty"`

	// uid as authenticated.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	UID string `json:"uid,omitempty"`

	// groups of the user.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:MaxLength=4096
	Groups []string `json:"groups,omitempty"`

	// extra is what the authenticator added.
	// +optional
	Extra map[string]ExtraValue `json:"extra,omitempty"`
}

// ExtraValue is the values of one extra key of a user.
// +kubebuilder:validation:MaxItems=1024
// +kubebuilder:validation:items:MaxLength=65536
// +listType=atomic
type ExtraValue []string

// ResourceReference is the object that was changed.
type ResourceReference struct {
	// group of the object's API; empty for the core group.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Group string `json:"group,omitempty"` //nolint:kubeapilinter // "" is the core group's own name, and absent means the same.

	// version of the object's API.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Version string `json:"version,omitempty"`

	// resource is the plural name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Resource string `json:"resource,omitempty"`

	// subresource of the object, such as scale.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Subresource string `json:"subresource,omitempty"`

	// kind of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Kind string `json:"kind,omitempty"`

	// namespace of the object; absent for cluster-scoped objects.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`

	// name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Name string `json:"name,omitempty"`

	// uid of the object.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid,omitempty"`

	// resourceVersion of the object before the change; absent when it did not exist, and "0" in the eviction of a pod that was
	// not there.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	ResourceVersion string `json:"resourceVersion,omitempty"`

	// deletionTime is the deletionTimestamp of the object before the change; present when somebody had asked for its deletion already.
	// +optional
	DeletionTime *metav1.Time `json:"deletionTime,omitempty"`
}

// RequestInfo is how a change was asked for.
type RequestInfo struct {
	// uid of the admission request. It is new for each call of the API server; absent for a change that was watched.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid,omitempty"`

	// fieldManager that the client gave; of a change that was watched, who is noted as the last to write, which is a hint.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	FieldManager string `json:"fieldManager,omitempty"`

	// requestKind is the kind that the client used, as group/version.Kind, when it differs from the resource's.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	RequestKind string `json:"requestKind,omitempty"`

	// requestResource is the resource that the client used, as resource.version.group, when it differs.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	RequestResource string `json:"requestResource,omitempty"`

	// propagationPolicy is what a deletion asked to become of the object's dependents; absent when it left that to the kind.
	// +optional
	// +kubebuilder:validation:Enum=Orphan;Background;Foreground
	PropagationPolicy metav1.DeletionPropagation `json:"propagationPolicy,omitempty"`

	// gracePeriodSeconds is how long a deletion gave the object to end; absent when it did not say. Of a pod the API server fills in the
	// pod's own.
	// +optional
	GracePeriodSeconds *int64 `json:"gracePeriodSeconds,omitempty"`
}

// ChangeOp is an operation of RFC 6902.
// +kubebuilder:validation:Enum=add;remove;replace;move;copy;test
type ChangeOp string

// Change is one operation of RFC 6902.
type Change struct {
	// op is add, remove or replace.
	// +required
	Op ChangeOp `json:"op,omitempty"`

	// path is a JSON Pointer to the value.
	// +required
	// +kubebuilder:validation:MinLength=0
	// +kubebuilder:validation:MaxLength=4096
	Path *string `json:"path,omitempty"`

	// from is the value before, of a remove or a replace.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	From *runtime.RawExtension `json:"from,omitempty"`

	// value is the value after, of an add or a replace.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	Value *runtime.RawExtension `json:"value,omitempty"`
}

// Evidence is the digests of a value before and after a change.
type Evidence struct {
	// path is a JSON Pointer to the value.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Path string `json:"path,omitempty"`

	// was is the digest of the value before the change; absent when there was none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Was string `json:"was,omitempty"`

	// digest of the value after the change, keyed so that it does not tell the value; absent when the change
	// removed it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Digest string `json:"digest,omitempty"`
}

// AuditEventStatus is what was found out after the change was admitted.
type AuditEventStatus struct {
	// outcome is NotPersisted or Unknown. It is absent while the change has not been checked, and when it stuck.
	// +optional
	// +kubebuilder:validation:Enum=NotPersisted;Unknown
	Outcome Outcome `json:"outcome,omitempty"`

	// message says why.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// recordedResourceVersion is the resourceVersion at which the event was created. It is kept because this write
	// changes metadata.resourceVersion, and delivery orders events by the first one.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=20
	RecordedResourceVersion string `json:"recordedResourceVersion,omitempty"`
}

// AuditEvent is the record of one change: who did what to which object, what changed, why, and whether it stuck.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,categories=audit
// +kubebuilder:selectablefield:JSONPath=`.spec.trailRef.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.action`
// +kubebuilder:selectablefield:JSONPath=`.spec.resource.kind`
// +kubebuilder:selectablefield:JSONPath=`.spec.resource.namespace`
// +kubebuilder:selectablefield:JSONPath=`.spec.resource.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.actor.username`
// +kubebuilder:printcolumn:name="Time",type=string,JSONPath=`.spec.time`
// +kubebuilder:printcolumn:name="Actor",type=string,JSONPath=`.spec.actor.username`
// +kubebuilder:printcolumn:name="Action",type=string,JSONPath=`.spec.action`
// +kubebuilder:printcolumn:name="Kind",type=string,JSONPath=`.spec.resource.kind`
// +kubebuilder:printcolumn:name="Object Namespace",type=string,JSONPath=`.spec.resource.namespace`
// +kubebuilder:printcolumn:name="Object",type=string,JSONPath=`.spec.resource.name`
// +kubebuilder:printcolumn:name="Outcome",type=string,JSONPath=`.status.outcome`
// +kubebuilder:printcolumn:name="Note",type=string,JSONPath=`.spec.note`,priority=1
// +kubebuilder:printcolumn:name="Trail",type=string,JSONPath=`.spec.trailRef.name`,priority=1
type AuditEvent struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata. The name is a lower-case ULID, so names sort by time.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is the record. Immutable.
	// +required
	// +structType=atomic
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="an AuditEvent is immutable: to explain a change afterwards, set the annotation audit.trailkeeper.dev/note on it"
	Spec AuditEventSpec `json:"spec,omitzero"`

	// status is what was found out afterwards. Only the operator writes it.
	// +optional
	Status AuditEventStatus `json:"status,omitzero"`
}

// AuditEventList is a list of AuditEvents.
//
// +kubebuilder:object:root=true
type AuditEventList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []AuditEvent `json:"items"`
}
