package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TrailType says where a trail's events go besides the cluster.
// +kubebuilder:validation:Enum=CloudWatch;ClusterOnly
type TrailType string

const (
	// TrailTypeCloudWatch pushes to AWS CloudWatch Logs.
	TrailTypeCloudWatch TrailType = "CloudWatch"
	// TrailTypeClusterOnly keeps events in the cluster and pushes nowhere.
	TrailTypeClusterOnly TrailType = "ClusterOnly"
)

// DeletionPolicy says what becomes of the log stream when the trail is deleted.
// +kubebuilder:validation:Enum=Retain;DeleteStream
type DeletionPolicy string

const (
	// DeletionPolicyRetain leaves the log stream as it is.
	DeletionPolicyRetain DeletionPolicy = "Retain"
	// DeletionPolicyDeleteStream deletes the log stream if the operator created it.
	DeletionPolicyDeleteStream DeletionPolicy = "DeleteStream"
)

// Scope is what a trail sees. It follows from the trail's namespace and cannot be chosen.
// +kubebuilder:validation:Enum=Tenant;Project
type Scope string

const (
	// ScopeTenant sees the whole cluster: the scope of trails in the operator's own namespace.
	ScopeTenant Scope = "Tenant"
	// ScopeProject sees the trail's own namespace only.
	ScopeProject Scope = "Project"
)

// AuditTrailSpec says what to record and where to push it.
//
// +kubebuilder:validation:XValidation:rule="self.type == 'CloudWatch' ? has(self.cloudWatch) : !has(self.cloudWatch)",message="set cloudWatch exactly when type is CloudWatch: add it, or use type ClusterOnly without it"
// +kubebuilder:validation:XValidation:rule="self.deletionPolicy != 'DeleteStream' || self.type == 'CloudWatch'",message="deletionPolicy DeleteStream needs type CloudWatch: use Retain"
type AuditTrailSpec struct {
	// type says where events go besides the cluster: CloudWatch pushes them to AWS CloudWatch Logs, ClusterOnly
	// pushes them nowhere. Immutable.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="type is immutable: make a new AuditTrail"
	Type TrailType `json:"type,omitempty"`

	// suspend stops recording and pushing while it is true. What was recorded before stays and is pushed later.
	// +optional
	Suspend *bool `json:"suspend,omitempty"`

	// cloudWatch is the destination. Required exactly when type is CloudWatch.
	// +optional
	CloudWatch *CloudWatchDestination `json:"cloudWatch,omitempty"`

	// rules decide what is recorded: the first that matches a request wins, as in a Kubernetes audit Policy, and a
	// request that none matches is not recorded. When absent, a default records what people and workloads change
	// and leaves out the noise of nodes and the control plane.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Rules []Rule `json:"rules,omitempty"`

	// redaction names further values that must not be recorded. Secrets' values never are.
	// +optional
	Redaction *Redaction `json:"redaction,omitempty"`

	// recording says how safely an event is recorded before a change is admitted.
	// +optional
	// +default={}
	Recording RecordingPolicy `json:"recording,omitzero"`

	// retention bounds the copy of the events that is kept in the cluster.
	// +optional
	// +default={}
	Retention RetentionPolicy `json:"retention,omitzero"`

	// deletionPolicy says what becomes of the log stream and the ledger's when the trail is deleted: Retain (the
	// default) or DeleteStream, which deletes each only if the operator created it. The log group is never deleted.
	// +optional
	// +default="Retain"
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// LogGroupCreationPolicy says whether a missing log group is created.
// +kubebuilder:validation:Enum=IfMissing;Never
type LogGroupCreationPolicy string

const (
	// LogGroupCreationIfMissing creates the log group when it is missing.
	LogGroupCreationIfMissing LogGroupCreationPolicy = "IfMissing"
	// LogGroupCreationNever waits until somebody else has created the log group.
	LogGroupCreationNever LogGroupCreationPolicy = "Never"
)

// LogGroupClass is what a log group can do, and costs. AWS takes it when the group is created only.
// +kubebuilder:validation:Enum=Standard;InfrequentAccess
type LogGroupClass string

const (
	// LogGroupClassStandard has every feature.
	LogGroupClassStandard LogGroupClass = "Standard"
	// LogGroupClassInfrequentAccess costs half, and can be read with Logs Insights only.
	LogGroupClassInfrequentAccess LogGroupClass = "InfrequentAccess"
)

// CloudWatchDestination is a log stream of AWS CloudWatch Logs and the identity that may write to it.
//
// +kubebuilder:validation:XValidation:rule="has(self.logStreamName) == has(oldSelf.logStreamName) && (!has(self.logStreamName) || self.logStreamName == oldSelf.logStreamName)",message="logStreamName is immutable: make a new AuditTrail"
// +kubebuilder:validation:XValidation:rule="!has(self.auth.sts) || self.auth.sts.roleARN.startsWith('arn:' + (self.region.startsWith('cn-') ? 'aws-cn' : self.region.startsWith('us-gov-') ? 'aws-us-gov' : self.region.startsWith('eusc-') ? 'aws-eusc' : self.region.startsWith('us-iso-') ? 'aws-iso' : self.region.startsWith('us-isob-') ? 'aws-iso-b' : self.region.startsWith('eu-isoe-') ? 'aws-iso-e' : self.region.startsWith('us-isof-') ? 'aws-iso-f' : 'aws') + ':')",message="auth.sts.roleARN is in another AWS partition than region: use a role of the region's own partition (arn:aws:... for most regions, arn:aws-cn:... for cn-*, arn:aws-us-gov:... for us-gov-*)"
// +kubebuilder:validation:XValidation:rule="!has(self.kmsKeyARN) || self.kmsKeyARN.startsWith('arn:' + (self.region.startsWith('cn-') ? 'aws-cn' : self.region.startsWith('us-gov-') ? 'aws-us-gov' : self.region.startsWith('eusc-') ? 'aws-eusc' : self.region.startsWith('us-iso-') ? 'aws-iso' : self.region.startsWith('us-isob-') ? 'aws-iso-b' : self.region.startsWith('eu-isoe-') ? 'aws-iso-e' : self.region.startsWith('us-isof-') ? 'aws-iso-f' : 'aws') + ':kms:' + self.region + ':')",message="kmsKeyARN is in another region or AWS partition than region: CloudWatch Logs takes keys of the log group's own region only, such as arn:aws:kms:eu-west-1:... for eu-west-1"
// +kubebuilder:validation:XValidation:rule="has(self.logGroupClass) == has(oldSelf.logGroupClass) && (!has(self.logGroupClass) || self.logGroupClass == oldSelf.logGroupClass)",message="logGroupClass is immutable, as AWS cannot change a log group's class: make a new AuditTrail with another log group"
type CloudWatchDestination struct {
	// region is the AWS region of the log group, such as eu-west-1. Immutable.
	// +required
	// +kubebuilder:validation:MinLength=9
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$')",message="region must be an AWS region's code, such as eu-west-1"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="region is immutable: make a new AuditTrail"
	Region string `json:"region,omitempty"`

	// logGroupName is the log group, 1 to 512 characters of a-z, A-Z, 0-9, '.', '_', '/', '#' and '-', not starting
	// with "aws/". Immutable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_./#-]+$') && !self.startsWith('aws/')",message="logGroupName may have letters, digits and . _ / # - only, and must not start with aws/"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="logGroupName is immutable: make a new AuditTrail"
	LogGroupName string `json:"logGroupName,omitempty"`

	// logStreamName is the log stream, 1 to 505 characters without ':' and '*', not ending in ".ledger": the trail's
	// signed ledger is in the stream of that name with ".ledger" at its end. When absent it is
	// <cluster id>/<namespace>/<name>; status.logStreamName shows it. Immutable.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=505
	// +kubebuilder:validation:XValidation:rule="!self.endsWith('.ledger')",message="logStreamName must not end in .ledger, which is for the ledgers of trails: use another ending"
	// +kubebuilder:validation:XValidation:rule="!self.contains(':') && !self.contains('*')",message="logStreamName must not contain ':' or '*'"
	LogStreamName string `json:"logStreamName,omitempty"`

	// logGroupCreationPolicy says whether a missing log group is created: IfMissing (the default) or Never.
	// +optional
	// +default="IfMissing"
	LogGroupCreationPolicy LogGroupCreationPolicy `json:"logGroupCreationPolicy,omitempty"`

	// retentionInDays is how long CloudWatch Logs keeps the group's records. When absent the group's retention is
	// left alone. It needs the permission logs:PutRetentionPolicy, which is not in the base policy; a refusal shows
	// in the condition RetentionManaged and does not stop delivery.
	// +optional
	// +kubebuilder:validation:Enum=1;3;5;7;14;30;60;90;120;150;180;365;400;545;731;1096;1827;2192;2557;2922;3288;3653
	RetentionInDays *int32 `json:"retentionInDays,omitempty"`

	// kmsKeyARN is the symmetric KMS key, of the log group's own region, that encrypts what is pushed from then on.
	// When absent the group's encryption is left alone; another value replaces the key, and records that were encrypted
	// with the old one still need it. It needs the permission logs:AssociateKmsKey, and a key policy that lets
	// CloudWatch Logs use the key; a refusal shows in the condition EncryptionManaged and does not stop delivery.
	// +optional
	// +kubebuilder:validation:MinLength=20
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^arn:(aws|aws-cn|aws-us-gov|aws-eusc|aws-iso|aws-iso-b|aws-iso-e|aws-iso-f):kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$')",message="kmsKeyARN must be the ARN of a KMS key and not of an alias, such as arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	KMSKeyARN string `json:"kmsKeyARN,omitempty"`

	// logGroupClass is the class of a log group that the operator creates: Standard or InfrequentAccess. When absent it
	// is AWS's default, Standard. A group that is there already keeps its class; one that differs shows in the
	// condition ClassManaged and does not stop delivery. Immutable.
	// +optional
	LogGroupClass LogGroupClass `json:"logGroupClass,omitempty"`

	// tags are put on the log group, up to 50; those with other keys are left alone, also when they were here before.
	// Keys have 1 to 128 characters and values up to 256, of letters, digits, spaces and _ . : / = + - @, and keys do not
	// start with "aws:". They need the permission logs:TagResource, on the form of the group's ARN without ":*"; a
	// refusal shows in the condition TagsManaged and does not stop delivery.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=50
	// +kubebuilder:validation:XValidation:rule="self.all(key, !key.lowerAscii().startsWith('aws:'))",message="a tag's key must not start with aws:, which AWS keeps to itself"
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.matches('^[\\\\p{L}\\\\p{Z}\\\\p{N}_.:/=+@-]{1,128}$'))",message="a tag's key has 1 to 128 letters, digits, spaces and _ . : / = + - @"
	// +kubebuilder:validation:XValidation:rule="self.all(key, self[key].matches('^[\\\\p{L}\\\\p{Z}\\\\p{N}_.:/=+@-]*$'))",message="a tag's value has up to 256 letters, digits, spaces and _ . : / = + - @"
	Tags map[string]TagValue `json:"tags,omitempty"`

	// auth is the identity to use.
	// +required
	Auth Auth `json:"auth,omitzero"`
}

// TagValue is the value of a tag.
// +kubebuilder:validation:MaxLength=256
type TagValue string

// Auth is exactly one way to prove an AWS identity.
//
// +kubebuilder:validation:XValidation:rule="[has(self.credentials), has(self.sts), has(self.ambient)].exists_one(set, set)",message="set exactly one of auth.credentials (access keys in a Secret), auth.sts (a role) and auth.ambient (the operator's own identity)"
type Auth struct {
	// credentials are access keys in a Secret.
	// +optional
	Credentials *Credentials `json:"credentials,omitempty"`

	// sts is a role to assume.
	// +optional
	STS *STS `json:"sts,omitempty"`

	// ambient is the operator's own AWS identity, used as it is: that of its service account (EKS Pod Identity, IAM
	// roles for service accounts), its node, or its environment. Only trails in the operator's namespace may use it.
	// +optional
	Ambient *Ambient `json:"ambient,omitempty"`
}

// Ambient has no fields: there is nothing to choose about the operator's own identity. Write ambient: {}.
type Ambient struct{}

// Credentials are access keys of an IAM user.
type Credentials struct {
	// secretRef is the Secret that holds the keys.
	// +required
	SecretRef SecretReference `json:"secretRef,omitzero"`
}

// SecretReference names a Secret in the trail's own namespace, and the keys to read in it. White space around the
// values is ignored.
type SecretReference struct {
	// name is the Secret's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="secretRef.name must be the name of a Secret: lower-case letters, digits, '-' and '.'"
	Name string `json:"name,omitempty"`

	// accessKeyIDKey is the key of the access key id. Default AWS_ACCESS_KEY_ID.
	// +optional
	// +default="AWS_ACCESS_KEY_ID"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="a key of a Secret has letters, digits, '-', '_' and '.' only"
	AccessKeyIDKey string `json:"accessKeyIDKey,omitempty"`

	// secretAccessKeyKey is the key of the secret access key. Default AWS_SECRET_ACCESS_KEY.
	// +optional
	// +default="AWS_SECRET_ACCESS_KEY"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="a key of a Secret has letters, digits, '-', '_' and '.' only"
	SecretAccessKeyKey string `json:"secretAccessKeyKey,omitempty"`

	// sessionTokenKey is the key of the session token, which only temporary credentials have. Default
	// AWS_SESSION_TOKEN; it may be missing in the Secret.
	// +optional
	// +default="AWS_SESSION_TOKEN"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="a key of a Secret has letters, digits, '-', '_' and '.' only"
	SessionTokenKey string `json:"sessionTokenKey,omitempty"`
}

// STS is a role to assume.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.externalID) && has(self.serviceAccountName))",message="externalID has no effect with serviceAccountName: remove one of them"
type STS struct {
	// roleARN is the role, in the region's partition.
	// +required
	// +kubebuilder:validation:MinLength=20
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^arn:(aws|aws-cn|aws-us-gov|aws-eusc|aws-iso|aws-iso-b|aws-iso-e|aws-iso-f):iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+$')",message="roleARN must be the ARN of an IAM role, such as arn:aws:iam::123456789012:role/audit"
	RoleARN string `json:"roleARN,omitempty"`

	// externalID is what the role's trust policy asks for. Only trails in the operator's namespace may set it; for
	// others the operator uses <cluster id>/<namespace>, shown in status.externalID.
	// +optional
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=1224
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_+=,.@:/-]+$')",message="externalID may have letters, digits and + = , . @ : / - _ only"
	ExternalID string `json:"externalID,omitempty"`

	// durationSeconds is how long the role's credentials are valid, 900 to 43200. Default 3600. The role's own
	// maximum session duration must allow it.
	// +optional
	// +default=3600
	// +kubebuilder:validation:Minimum=900
	// +kubebuilder:validation:Maximum=43200
	DurationSeconds *int32 `json:"durationSeconds,omitempty"`

	// serviceAccountName is a service account of the trail's namespace whose token proves the identity (web
	// identity). When absent the operator's own AWS identity assumes the role; outside of the operator's namespace an
	// administrator must have granted the role to the trail's namespace, in ConfigMap trailkeeper-role-grants.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="serviceAccountName must be the name of a service account: lower-case letters, digits, '-' and '.'"
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
}

// Durability says where an event is stored before the change is admitted.
// +kubebuilder:validation:Enum=Replicated;Local
type Durability string

const (
	// DurabilityReplicated stores the AuditEvent in etcd.
	DurabilityReplicated Durability = "Replicated"
	// DurabilityLocal stores it in the recorder's local file, from where it is written to etcd soon after.
	DurabilityLocal Durability = "Local"
)

// FailurePolicy says what happens to a change that cannot be recorded.
// +kubebuilder:validation:Enum=Ignore;Fail
type FailurePolicy string

const (
	// FailurePolicyIgnore admits the change.
	FailurePolicyIgnore FailurePolicy = "Ignore"
	// FailurePolicyFail refuses the change.
	FailurePolicyFail FailurePolicy = "Fail"
)

// RecordingPolicy says how safely an event is recorded before a change is admitted.
type RecordingPolicy struct {
	// durability is Replicated (the default: stored in etcd before the change is admitted) or Local (stored in a
	// file of the replica that received it, faster, and lost with that replica's disk).
	// +optional
	// +default="Replicated"
	Durability Durability `json:"durability,omitempty"`

	// failurePolicy says what happens to a change that cannot be recorded: Ignore (the default) admits it, Fail
	// refuses it. Changes in kube-system and in the operator's namespace are never refused.
	// +optional
	// +default="Ignore"
	FailurePolicy FailurePolicy `json:"failurePolicy,omitempty"`
}

// RetentionPolicy bounds the copy of the events that is kept in the cluster. Events that are still to be pushed are
// kept whatever it says.
type RetentionPolicy struct {
	// ttlSeconds is how long an event is kept in the cluster, 60 seconds to 31 days. Default 86400 (a day).
	// +optional
	// +default=86400
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=2678400
	TTLSeconds *int32 `json:"ttlSeconds,omitempty"`

	// maxEvents is how many events of this trail are kept in the cluster, 1 to 100000. Default 10000. Past it the
	// oldest are pruned first.
	// +optional
	// +default=10000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	MaxEvents *int32 `json:"maxEvents,omitempty"`
}

// Redaction names values that must not be recorded.
type Redaction struct {
	// paths are JSON Pointers (RFC 6901) into the object; a segment * stands for every key or index. The values
	// found there are replaced by a digest, so that a change is visible and the value is not.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=2
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:items:XValidation:rule="self.startsWith('/')",message="a redaction path is a JSON Pointer and starts with /, such as /spec/template/spec/containers/*/env/*/value"
	Paths []string `json:"paths,omitempty"`
}

// AuditTrailStatus is what the operator observed. Only the operator writes it.
type AuditTrailStatus struct {
	// conditions are Ready, CredentialsValid, DestinationReady, Delivering and Recording; RetentionSufficient, which
	// warns; RetentionManaged, EncryptionManaged, ClassManaged and TagsManaged for the fields that ask for them; and Stalled
	// while only a change of the spec helps.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that the conditions speak of.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// scope is what the trail sees: Tenant (the whole cluster) or Project (its own namespace).
	// +optional
	Scope Scope `json:"scope,omitempty"`

	// callerIdentity is who AWS takes the trail for.
	// +optional
	CallerIdentity *CallerIdentity `json:"callerIdentity,omitempty"`

	// externalID is the external id that the operator uses to assume the role; the role's trust policy should ask
	// for it (sts:ExternalId).
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1224
	ExternalID string `json:"externalID,omitempty"`

	// destination is a short form of the destination, for display: region:group.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=600
	Destination string `json:"destination,omitempty"`

	// logGroupARN is the log group's ARN.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	LogGroupARN string `json:"logGroupARN,omitempty"`

	// logStreamName is the log stream in use.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	LogStreamName string `json:"logStreamName,omitempty"`

	// streamCreatedByOperator is true when the operator created the log stream, and so may delete it.
	// +optional
	StreamCreatedByOperator *bool `json:"streamCreatedByOperator,omitempty"`

	// delivery is how far the events have been pushed.
	// +optional
	Delivery *DeliveryStatus `json:"delivery,omitempty"`

	// ledger is how far what was pushed is vouched for by signed entries.
	// +optional
	Ledger *LedgerStatus `json:"ledger,omitempty"`
}

// CallerIdentity is who AWS takes the trail for.
type CallerIdentity struct {
	// arn is the identity's ARN.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	ARN string `json:"arn,omitempty"`

	// accountID is the identity's AWS account.
	// +required
	// +kubebuilder:validation:MinLength=12
	// +kubebuilder:validation:MaxLength=12
	AccountID string `json:"accountID,omitempty"`
}

// DeliveryStatus is a trail's cursor: everything recorded at or below resourceVersion has been accounted for.
type DeliveryStatus struct {
	// resourceVersion is the cursor. Events recorded at or below it were accepted by the destination, or rejected
	// and counted.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=20
	ResourceVersion string `json:"resourceVersion,omitempty"`

	// sequence is the number of the last record below the cursor; the first record of a trail is 1.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Sequence int64 `json:"sequence,omitempty"`

	// hash is the hash of the last record below the cursor, in hexadecimal.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Hash string `json:"hash,omitempty"`

	// lastDeliveredTime is when the destination last accepted a record.
	// +optional
	LastDeliveredTime *metav1.Time `json:"lastDeliveredTime,omitempty"`

	// delivered is how many records the destination has accepted.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Delivered int64 `json:"delivered,omitempty"`

	// rejected is how many records the destination refused for good.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Rejected int64 `json:"rejected,omitempty"`

	// pending is how many recorded events were known to be past the cursor when it was last written.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Pending int64 `json:"pending,omitempty"`

	// drainedTime is when, after the trail was deleted, nothing more of it waited to be delivered: neither in the cluster nor in
	// the memory of the replica that delivers it.
	// +optional
	DrainedTime *metav1.Time `json:"drainedTime,omitempty"`

	// packed is how many of the pending events are in AuditEventChunks, because the destination has taken nothing for long.
	// They are not among the AuditEvents any more.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Packed int64 `json:"packed,omitempty"`

	// backlog is Full while so much is pending that no more is recorded: what happens to changes then is
	// spec.recording.failurePolicy. It is absent while there is room.
	// +optional
	Backlog BacklogState `json:"backlog,omitempty"`
}

// LedgerStatus is how far the trail's ledger is: signed entries in a log stream of its own, by which whoever reads the
// records can tell that none is missing, changed or cut off.
type LedgerStatus struct {
	// logStreamName is the ledger's log stream, in the trail's log group.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=519
	LogStreamName string `json:"logStreamName,omitempty"`

	// streamCreatedByOperator is true when the operator created that log stream, and so may delete it.
	// +optional
	StreamCreatedByOperator *bool `json:"streamCreatedByOperator,omitempty"`

	// keyID is the id of the key that signed the last entry.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	KeyID string `json:"keyID,omitempty"`

	// publicKey is that key's public half (Ed25519), in base64.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	PublicKey string `json:"publicKey,omitempty"`

	// number is that of the last entry; the first is 1.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Number int64 `json:"number,omitempty"`

	// hash is the hash of the last entry, in hexadecimal.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Hash string `json:"hash,omitempty"`

	// sequence is the record up to which the last entry vouches.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Sequence int64 `json:"sequence,omitempty"`

	// time is when the last entry was written.
	// +optional
	Time *metav1.Time `json:"time,omitempty"`

	// gaps are records that the destination refused for good and of which no entry tells yet.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Gaps []LedgerGap `json:"gaps,omitempty"`

	// pending is the next entry, which is stored here before it is pushed, so that there is one of each number.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=65536
	Pending string `json:"pending,omitempty"`
}

// LedgerGap is an unbroken row of records that the destination refused for good.
type LedgerGap struct {
	// first is the sequence number of the first record.
	// +required
	// +kubebuilder:validation:Minimum=1
	First int64 `json:"first,omitempty"`

	// last is the sequence number of the last record.
	// +required
	// +kubebuilder:validation:Minimum=1
	Last int64 `json:"last,omitempty"`

	// previousHash is the hash of the record before the first.
	// +required
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	PreviousHash string `json:"previousHash,omitempty"`

	// hash is the hash of the last record.
	// +required
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	Hash string `json:"hash,omitempty"`

	// reason says why: RecordRejected, TooLarge, TooOld, Expired or TooNew.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`
}

// BacklogState is whether more events may wait for a trail's destination.
// +kubebuilder:validation:Enum=Full
type BacklogState string

// BacklogFull says that no more may wait.
const BacklogFull BacklogState = "Full"

// BacklogIsFull says whether no more events may wait for the trail's destination.
func (t *AuditTrail) BacklogIsFull() bool {
	return t.Status.Delivery != nil && t.Status.Delivery.Backlog == BacklogFull
}

// AuditTrail says which changes to record, and where to push the record.
//
// +kubebuilder:validation:XValidation:rule="!self.metadata.name.endsWith('.ledger') || self.spec.type != 'CloudWatch' || has(self.spec.cloudWatch.logStreamName)",message="a trail whose name ends in .ledger would have the log stream of another trail's ledger: use another name, or set cloudWatch.logStreamName"
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=trail,categories=audit
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Scope",type=string,JSONPath=`.status.scope`
// +kubebuilder:printcolumn:name="Destination",type=string,JSONPath=`.status.destination`
// +kubebuilder:printcolumn:name="Delivered",type=integer,JSONPath=`.status.delivery.delivered`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AuditTrail struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec says what to record and where to push it.
	// +required
	Spec AuditTrailSpec `json:"spec,omitzero"`

	// status is what the operator observed.
	// +optional
	Status AuditTrailStatus `json:"status,omitzero"`
}

// AuditTrailList is a list of AuditTrails.
//
// +kubebuilder:object:root=true
type AuditTrailList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []AuditTrail `json:"items"`
}
