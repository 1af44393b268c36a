package v1alpha1

// Condition types of AuditTrail. Each is a state, True when all is well.
const (
	// ReadyCondition sums up the others: the trail records, and what it records arrives.
	ReadyCondition = "Ready"
	// CredentialsValidCondition says whether AWS accepts the trail's identity.
	CredentialsValidCondition = "CredentialsValid"
	// DestinationReadyCondition says whether the log group and the log stream are there.
	DestinationReadyCondition = "DestinationReady"
	// DeliveringCondition says whether events reach the destination.
	DeliveringCondition = "Delivering"
	// RecordingCondition says whether the API server has been told to send what the trail asks for.
	RecordingCondition = "Recording"
	// RetentionManagedCondition says whether spec.cloudWatch.retentionInDays is in force. It never stops delivery.
	RetentionManagedCondition = "RetentionManaged"
	// EncryptionManagedCondition says whether spec.cloudWatch.kmsKeyARN is in force. It never stops delivery.
	EncryptionManagedCondition = "EncryptionManaged"
	// ClassManagedCondition says whether the log group has spec.cloudWatch.logGroupClass. It never stops delivery.
	ClassManagedCondition = "ClassManaged"
	// TagsManagedCondition says whether spec.cloudWatch.tags are on the log group. It never stops delivery.
	TagsManagedCondition = "TagsManaged"
	// RetentionSufficientCondition says whether the log group keeps records for a year. It is a warning: it never stops
	// delivery and is no part of Ready.
	RetentionSufficientCondition = "RetentionSufficient"
	// CompleteCondition is there, and False, once the destination has refused a record of the trail for good. Events with
	// the notice Gap tell which. It never stops delivery.
	CompleteCondition = "Complete"
	// StalledCondition is there, and True, while only a change of the spec helps. It is the one condition that is bad
	// when True, since kstatus, and whoever builds on it, knows it so.
	StalledCondition = "Stalled"
)

// Reasons of any condition.
const (
	// ReasonSucceeded appears on every condition that is True.
	ReasonSucceeded = "Succeeded"
	// ReasonProgressing appears while a state is not known yet.
	ReasonProgressing = "Progressing"
	// ReasonSuspended appears while spec.suspend is true.
	ReasonSuspended = "Suspended"
	// ReasonClusterOnly appears on the conditions of a destination when the trail has none.
	ReasonClusterOnly = "ClusterOnly"
)

// Reasons of CredentialsValid.
const (
	// ReasonSecretNotFound appears when the Secret that the trail names does not exist.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonSecretNotReadable appears when the operator may not read the Secret: its namespace's owner has not granted
	// it; the message says which Role and RoleBinding to create.
	ReasonSecretNotReadable = "SecretNotReadable"
	// ReasonSecretKeyMissing appears when the Secret lacks a key, or the key's value is empty.
	ReasonSecretKeyMissing = "SecretKeyMissing"
	// ReasonSessionTokenMissing appears for a temporary access key (ASIA...) without a session token.
	ReasonSessionTokenMissing = "SessionTokenMissing"
	// ReasonInvalidAccessKey appears when AWS does not know the access key.
	ReasonInvalidAccessKey = "InvalidAccessKey"
	// ReasonSignatureMismatch appears when the secret key is wrong, or the clock is off.
	ReasonSignatureMismatch = "SignatureMismatch"
	// ReasonTokenExpired appears when a session token has expired.
	ReasonTokenExpired = "TokenExpired"
	// ReasonRoleNotAssumable appears when STS refuses AssumeRole: no such role, its trust policy, or the external id.
	ReasonRoleNotAssumable = "RoleNotAssumable"
	// ReasonServiceAccountNotFound appears when the service account that the trail names does not exist.
	ReasonServiceAccountNotFound = "ServiceAccountNotFound"
	// ReasonServiceAccountNotUsable appears when the operator may not request tokens of the service account; the
	// message says which Role and RoleBinding to create.
	ReasonServiceAccountNotUsable = "ServiceAccountNotUsable"
	// ReasonExternalIDNotAllowed appears when a trail outside the operator's namespace sets an external id.
	ReasonExternalIDNotAllowed = "ExternalIDNotAllowed"
	// ReasonAmbientNotAllowed appears when a trail outside the operator's namespace uses the operator's own identity.
	ReasonAmbientNotAllowed = "AmbientNotAllowed"
	// ReasonRoleNotGranted appears when nobody has granted the role to the trail's namespace; the message says where.
	ReasonRoleNotGranted = "RoleNotGranted"
	// ReasonNoIdentity appears when the operator has no AWS identity of its own, to use or to assume the role with.
	ReasonNoIdentity = "NoOperatorIdentity"
	// ReasonAccountChanged appears when new credentials resolve to another account than the one delivered to so far.
	ReasonAccountChanged = "AccountChanged"
)

// Reasons of CredentialsValid, DestinationReady and Delivering that come from AWS.
const (
	// ReasonActionNotAllowed appears when an IAM policy refuses an action; the message names it.
	ReasonActionNotAllowed = "ActionNotAllowed"
	// ReasonRegionUnusable appears when the region is switched off for the account, or does not exist.
	ReasonRegionUnusable = "RegionUnusable"
	// ReasonThrottled appears while AWS asks for fewer calls.
	ReasonThrottled = "Throttled"
	// ReasonQuotaExceeded appears when an account's quota is used up.
	ReasonQuotaExceeded = "QuotaExceeded"
	// ReasonUnreachable appears when AWS does not answer.
	ReasonUnreachable = "Unreachable"
	// ReasonAWSError appears for an error of AWS that no other reason fits; the message has its code.
	ReasonAWSError = "AWSError"
	// ReasonLogGroupBusy appears while somebody else changes the log group.
	ReasonLogGroupBusy = "LogGroupBusy"
	// ReasonRetentionOverridden appears on RetentionManaged when an account-level policy of CloudWatch Logs decides the
	// log group's retention.
	ReasonRetentionOverridden = "RetentionOverridden"
	// ReasonRetentionTooShort appears on RetentionSufficient when the log group drops records in less than a year.
	ReasonRetentionTooShort = "RetentionTooShort"
	// ReasonLogGroupClassDiffers appears on ClassManaged when the log group was created with another class.
	ReasonLogGroupClassDiffers = "LogGroupClassDiffers"
	// ReasonKeyNotUsable appears on EncryptionManaged when CloudWatch Logs cannot use the key: it does not exist, is
	// disabled, is asymmetric, or its key policy leaves CloudWatch Logs out.
	ReasonKeyNotUsable = "KeyNotUsable"
	// ReasonTagsRefused appears on TagsManaged when CloudWatch Logs refuses the tags, as when a group would have too many.
	ReasonTagsRefused = "TagsRefused"
	// ReasonLogGroupNotFound appears when the log group is missing and logGroupCreationPolicy is Never.
	ReasonLogGroupNotFound = "LogGroupNotFound"
	// ReasonDestinationNotFound appears when a push finds the log group or stream gone; it is made again.
	ReasonDestinationNotFound = "DestinationNotFound"
	// ReasonChunkUnreadable appears when events that were packed while the destination was away cannot be read any more.
	ReasonChunkUnreadable = "ChunkUnreadable"
	// ReasonRecordRejected appears on Complete when AWS refused records for good, which status.delivery.rejected counts,
	// and on Delivering while it refuses all records.
	ReasonRecordRejected = "RecordRejected"
)

// Reasons of Ready and Recording. While another condition is not True, Ready has that condition's reason.
const (
	// ReasonWebhookPending appears until the webhook configuration includes the trail's rules.
	ReasonWebhookPending = "WebhookPending"
	// ReasonBacklogFull appears while so many events wait for the destination that no more are recorded.
	ReasonBacklogFull = "BacklogFull"
	// ReasonDeleting appears while a deleted trail's last events are pushed.
	ReasonDeleting = "Deleting"
)
