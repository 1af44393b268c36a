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
	// ReasonLogGroupNotFound appears when the log group is missing and logGroupCreationPolicy is Never.
	ReasonLogGroupNotFound = "LogGroupNotFound"
	// ReasonDestinationNotFound appears when a push finds the log group or stream gone; it is made again.
	ReasonDestinationNotFound = "DestinationNotFound"
	// ReasonRecordRejected appears when AWS refuses a record for good; it is counted in status.delivery.rejected.
	ReasonRecordRejected = "RecordRejected"
)

// Reasons of Ready and Recording. While another condition is not True, Ready has that condition's reason.
const (
	// ReasonWebhookPending appears until the webhook configuration includes the trail's rules.
	ReasonWebhookPending = "WebhookPending"
	// ReasonDeleting appears while a deleted trail's last events are pushed.
	ReasonDeleting = "Deleting"
)
