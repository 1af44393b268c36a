package recorded

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// Event is an AuditEvent as delivery sees it: the spec as it is stored, and those of its fields that are needed to
// judge it.
type Event struct {
	types.NamespacedName

	// UID is the AuditEvent's own.
	UID types.UID
	// ResourceVersion is the one at which the event was recorded; it orders events.
	ResourceVersion uint64
	// Trail is the uid of the trail that asked for the event.
	Trail types.UID
	// Spec is the stored spec.
	Spec jsontext.Value
	// Head are the fields of the spec that are needed to judge it.
	Head Head
	// Status is what was found out before.
	Status v1alpha1.AuditEventStatus
	// Seen is when this replica knew that the event was stored, by its own clock.
	Seen time.Time
	// Late says that the event waited in a local file before it was stored, and After is a resourceVersion from before its change was
	// made; 0 when none is known.
	Late  bool
	After uint64
	// Moved says that its ResourceVersion is a later one: somebody has explained it, and nothing says when it was stored.
	Moved bool
	// Straggler says that others that were made after it were stored before it, or that nobody knows when it was.
	Straggler bool
	// Overdue says that others of its time that were stored before it are forgotten already.
	Overdue bool
	// Waiting is what may have kept the change from being made at once.
	Waiting
	// Upsert says that the update's request went on to create another object of the name.
	Upsert bool
	// Binding is what else is known of a binding, by other events.
	Binding Binding
	// Followed says that a later event of the backlog shows the object as it was before that: it existed.
	Followed bool
}

// StoredAfter is a resourceVersion from before the event's object was made: the event's own, unless it waited in a local file. 0 when
// none is known.
func (e *Event) StoredAfter() uint64 {
	switch {
	case e.Late:
		return e.After
	case e.Moved:
		return 0
	default:
		return e.ResourceVersion
	}
}

// Size is about what the event occupies in memory, in bytes.
func (e *Event) Size() int {
	const fixed = 512
	return len(e.Spec) + fixed
}

// Binding is what other events tell of a pod's binding.
type Binding struct {
	// Rival is how far apart another event is that asks for the same at about the same time; 0 when none does.
	Rival time.Duration
	// Pod is a version of the pod, of what waited in a local file.
	Pod PodVersion
	// Untouched says that the pod was still a version of before when it would have been bound.
	Untouched bool
}

// PodVersion is a version of a pod; the zero value is none.
type PodVersion struct {
	UID    string
	Number uint64
}

// Due is when the event may be judged: the API server needs a moment to store the change after the event was stored.
func (e *Event) Due(settle time.Duration) time.Time { return e.Seen.Add(settle) }
