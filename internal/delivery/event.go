package delivery

import (
	"bytes"
	"errors"
	"fmt"
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
	// HeldUntil is until when the API server stored nothing, if it began to at about the time of the change, which may have waited until
	// then; zero when it did not.
	HeldUntil time.Time
	// Slow is how long storing events took at that time, at least, and SlowAgain how long it took when HeldUntil had passed.
	Slow, SlowAgain time.Duration
	// Upsert says that the update's request went on to create another object of the name.
	Upsert bool
	// Binding is what else is known of a binding, by other events.
	Binding Binding
	// Followed says that a later event of the backlog shows the object as it was before that: it existed.
	Followed bool
}

// begun is a moment by which the API server had begun to store the change, if it was made and nothing else held it up.
func (e *Event) begun() time.Time {
	if e.HeldUntil.After(e.Head.Time.Time) {
		return e.HeldUntil
	}
	return e.Head.Time.Time
}

// storedAfter is a resourceVersion from before the event's object was made: the event's own, unless it waited in a local file. 0 when
// none is known.
func (e *Event) storedAfter() uint64 {
	switch {
	case e.Late:
		return e.After
	case e.Moved:
		return 0
	default:
		return e.ResourceVersion
	}
}

// size is about what the event occupies in memory, in bytes.
func (e *Event) size() int {
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

// wireEvent is an AuditEvent with its spec undecoded.
type wireEvent struct {
	name, namespace string
	uid             types.UID
	version         string
	// late says that it waited in a local file, and noted that somebody has explained it since.
	late, noted bool
	after       string
	// object is the whole AuditEvent and spec its spec, in the memory of whoever reads, and good until the next one is read.
	object, spec []byte
	status       v1alpha1.AuditEventStatus
}

// readEvent reads an AuditEvent, but for its spec.
func readEvent(object []byte) (*wireEvent, error) {
	wire := wireEvent{object: object}
	s := scan{data: object}
	wire.scan(&s)
	if s.err != nil {
		return nil, fmt.Errorf("decoding an AuditEvent: %w", s.err)
	}
	return &wire, nil
}

func (w *wireEvent) scan(s *scan) {
	s.object(func(name []byte) {
		switch string(name) {
		case "metadata":
			w.scanMetadata(s)
		case "spec":
			w.spec = s.raw()
		case "status":
			if raw := s.raw(); s.err == nil && len(raw) > len("{}") {
				inner := scan{data: raw}
				inner.into(&w.status)
				s.err = inner.err
			}
		default:
			s.raw()
		}
	})
}

func (w *wireEvent) scanMetadata(s *scan) {
	s.object(func(name []byte) {
		switch string(name) {
		case "name":
			w.name = s.text()
		case "namespace":
			w.namespace = s.word()
		case "uid":
			w.uid = types.UID(s.text())
		case "resourceVersion":
			w.version = s.text()
		case "annotations":
			s.object(func(name []byte) {
				switch string(name) {
				case v1alpha1.KeptLocallyAnnotation:
					w.late, w.after = true, s.text()
				case v1alpha1.NoteAnnotation:
					w.noted = true
					s.raw()
				default:
					s.raw()
				}
			})
		default:
			s.raw()
		}
	})
}

// errUnreadable says that an AuditEvent is not what it should be: it is left out, so that it does not stop those that follow.
var errUnreadable = errors.New("the AuditEvent cannot be read")

// event decodes what delivery needs. The result owns its memory.
func (w *wireEvent) event() (Event, error) {
	event := Event{NamespacedName: w.key(), UID: w.uid, Spec: bytes.Clone(w.spec), Status: w.status, Late: w.late, Moved: w.moved()}
	version, err := w.recordedAt()
	if err != nil {
		return Event{}, err
	}
	event.ResourceVersion = version
	event.After, _ = parseVersion(w.after) // Older versions did not say.
	s := scan{data: w.spec}
	event.Head.scan(&s)
	if s.err != nil {
		return Event{}, fmt.Errorf("decoding the spec of AuditEvent %s: %w: %w", event.NamespacedName, errUnreadable, s.err)
	}
	event.Trail = types.UID(event.Head.TrailRef.UID)
	return event, nil
}

// origin reads where the event belongs.
func (w *wireEvent) origin() (origin, error) {
	var from origin
	s := scan{data: w.spec}
	from.scan(&s)
	if s.err != nil {
		return origin{}, fmt.Errorf("finding the trail of AuditEvent %s: %w", w.key(), s.err)
	}
	return from, nil
}

// trail is the uid of the trail that asked for the event.
func (w *wireEvent) trail() (types.UID, error) {
	from, err := w.origin()
	return from.trail, err
}

func (w *wireEvent) key() types.NamespacedName {
	return types.NamespacedName{Namespace: w.namespace, Name: w.name}
}

// recordedAt is the resourceVersion at which the event was created, also when its status was written since.
func (w *wireEvent) recordedAt() (uint64, error) {
	version := w.status.RecordedResourceVersion
	if version == "" {
		version = w.version
	}
	return parseVersion(version)
}

// moved says that somebody has explained the event since it was created, and that nobody noted at which version that was.
func (w *wireEvent) moved() bool { return w.noted && w.status.RecordedResourceVersion == "" }

// due is when the event may be judged: the API server needs a moment to store the change after the event was stored.
func (e *Event) due(settle time.Duration) time.Time { return e.Seen.Add(settle) }
