package v1alpha1

const (
	// NoteAnnotation on a changed object is the note of that change: recorded when it changed in the same request.
	// On an AuditEvent it is the note given afterwards.
	NoteAnnotation = "audit.trailkeeper.dev/note"

	// ChangeCauseAnnotation is the note of a change when NoteAnnotation is absent, under the same rule.
	ChangeCauseAnnotation = "kubernetes.io/change-cause"

	// AcceptAccountAnnotation on a trail names the AWS account that its credentials may resolve to, when that
	// differs from the account of status.callerIdentity.
	AcceptAccountAnnotation = "audit.trailkeeper.dev/accept-account"

	// KeptLocallyAnnotation on an AuditEvent says that it waited in a replica's local file before it was stored, so that
	// events of its time may be stored later than others. Its value is a resourceVersion from before the change was made,
	// empty when the replica knew none.
	KeptLocallyAnnotation = "audit.trailkeeper.dev/kept-locally"

	// RotateKeyAnnotation on the Secret trailkeeper-ledger-key asks for another key; the operator removes it then.
	RotateKeyAnnotation = "audit.trailkeeper.dev/rotate-key"

	// TrailLabel on an AuditEvent is the name of its trail, where that is a valid label value.
	TrailLabel = "audit.trailkeeper.dev/trail"

	// TrailUIDLabel on an AuditEventChunk is the uid of its trail.
	TrailUIDLabel = "audit.trailkeeper.dev/trail-uid"

	// ChunkLastAnnotation on an AuditEventChunk repeats its last resourceVersion, so that a list of metadata tells all but
	// the events.
	ChunkLastAnnotation = "audit.trailkeeper.dev/last-resource-version"
	// ChunkCountAnnotation on an AuditEventChunk repeats how many events it has.
	ChunkCountAnnotation = "audit.trailkeeper.dev/count"
	// ChunkBytesAnnotation on an AuditEventChunk says about how many bytes of etcd it takes.
	ChunkBytesAnnotation = "audit.trailkeeper.dev/bytes"

	// TrailFinalizer keeps an AuditTrail until what was recorded for it has been pushed or given up.
	TrailFinalizer = "audit.trailkeeper.dev/delivery"
)

// Paths of AuditEvent that field selectors accept; at most eight (KEP-4358).
const (
	FieldTrail             = "spec.trailRef.name"
	FieldAction            = "spec.action"
	FieldKind              = "spec.resource.kind"
	FieldResourceNamespace = "spec.resource.namespace"
	FieldResourceName      = "spec.resource.name"
	FieldUsername          = "spec.actor.username"
)
