package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Level says how much of a change is recorded.
// +kubebuilder:validation:Enum=None;Metadata;Changes;Object
type Level string

const (
	// LevelNone records nothing.
	LevelNone Level = "None"
	// LevelMetadata records who did what to which object.
	LevelMetadata Level = "Metadata"
	// LevelChanges records in addition what changed, as RFC 6902 operations against the old object.
	LevelChanges Level = "Changes"
	// LevelObject records in addition the whole object.
	LevelObject Level = "Object"
)

// Operation is an admission operation.
// +kubebuilder:validation:Enum=Create;Update;Delete;Connect
type Operation string

const (
	// OperationCreate creates an object.
	OperationCreate Operation = "Create"
	// OperationUpdate updates, patches or applies an object.
	OperationUpdate Operation = "Update"
	// OperationDelete deletes an object.
	OperationDelete Operation = "Delete"
	// OperationConnect opens a connection to an object: exec, attach, port-forward, proxy.
	OperationConnect Operation = "Connect"
)

// ActorType is a class of identities.
// +kubebuilder:validation:Enum=User;ServiceAccount;Node;ControlPlane;Unknown
type ActorType string

const (
	// ActorUser is everybody who is none of the others: people, and tools that log in as people do.
	ActorUser ActorType = "User"
	// ActorServiceAccount is a service account outside kube-system.
	ActorServiceAccount ActorType = "ServiceAccount"
	// ActorNode is a kubelet (system:node:*).
	ActorNode ActorType = "Node"
	// ActorControlPlane is the control plane: system:kube-*, system:apiserver and kube-system's service accounts.
	ActorControlPlane ActorType = "ControlPlane"
	// ActorUnknown is whoever changed what the API server shows to no webhook: the webhook and policy configurations of
	// admission.
	ActorUnknown ActorType = "Unknown"
)

// Rule matches requests and says how much of them is recorded. A field that is absent matches everything; fields
// that are present must all match.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.namespaces) && has(self.namespaceSelector))",message="set namespaces or namespaceSelector, not both"
type Rule struct {
	// level is how much is recorded: None, Metadata, Changes or Object.
	// +required
	Level Level `json:"level,omitempty"`

	// actors are the classes of identities that match. Where the actor is Unknown, a rule that asks for actors, users or
	// groups matches if it records, and does not if its level is None, unless actors has Unknown.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=5
	Actors []ActorType `json:"actors,omitempty"`

	// users are user names that match, exactly, or by their beginning when the name ends in *.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	Users []string `json:"users,omitempty"`

	// groups are groups of the user, one of which must match, exactly, or by its beginning when it ends in *.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	Groups []string `json:"groups,omitempty"`

	// operations that match.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	Operations []Operation `json:"operations,omitempty"`

	// resources that match.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Resources []GroupResources `json:"resources,omitempty"`

	// kinds of objects that match, such as Deployment, whatever their case and group. A subresource has a kind of its
	// own, such as Scale, or that of its object, as status has.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[A-Za-z]([A-Za-z0-9-]*[A-Za-z0-9])?$')",message="a kind is a singular name such as Deployment, in whatever case, without its group: use resources to choose by group or with *"
	Kinds []string `json:"kinds,omitempty"`

	// fieldManagers that match, exactly, or by their beginning when the name ends in *. Only what the client says of
	// itself can match: a request without a field manager, as every Delete and Connect is, matches none but *.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	FieldManagers []string `json:"fieldManagers,omitempty"`

	// names of objects that match, exactly, or by their beginning when the name ends in *.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Names []string `json:"names,omitempty"`

	// namespaces of objects that match, exactly, or by their beginning when the name ends in *. Cluster-scoped
	// objects, Namespaces among them, have none and do not match.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Namespaces []string `json:"namespaces,omitempty"`

	// namespaceSelector matches objects by the labels of their namespace. Cluster-scoped objects do not match.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
}

// GroupResources are resources of one API group.
type GroupResources struct {
	// group is the API group; absent or empty for the core group, * for all.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Group string `json:"group,omitempty"` //nolint:kubeapilinter // "" is the core group's own name, and absent means the same.

	// resources are plural names, such as deployments. deployments/scale is a subresource, deployments/* are all
	// subresources of deployments, * are all resources without their subresources, */scale is that subresource of
	// all resources, */* are all resources and subresources. When absent, all resources without their subresources.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=127
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^([a-z0-9.-]+|[*])(/([a-z0-9.-]+|[*]))?$')",message="a resource is a lower-case plural name such as deployments, a subresource such as deployments/scale, or has * for either part"
	Resources []string `json:"resources,omitempty"`
}
