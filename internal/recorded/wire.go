package recorded

import (
	"bytes"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
)

// Wire is an AuditEvent with its spec undecoded.
type Wire struct {
	Name, namespace string
	// UID is the AuditEvent's own, and Version its resourceVersion.
	UID     types.UID
	Version string
	// Noted says that somebody has explained it since it was recorded.
	Noted bool
	// Object is the whole AuditEvent, in the memory of whoever reads, and good until the next one is read.
	Object []byte

	spec   []byte
	status v1alpha1.AuditEventStatus
	// late says that it waited in a local file, and after a resourceVersion from before that.
	late  bool
	after string
}

// ReadWire reads an AuditEvent, but for its spec.
func ReadWire(object []byte) (*Wire, error) {
	wire := Wire{Object: object}
	s := apijson.Scan{Data: object}
	wire.Scan(&s)
	if s.Err != nil {
		return nil, fmt.Errorf("decoding an AuditEvent: %w", s.Err)
	}
	return &wire, nil
}

// Scan reads the AuditEvent where a scan is.
func (w *Wire) Scan(s *apijson.Scan) {
	s.Object(func(name []byte) {
		switch string(name) {
		case "metadata":
			w.scanMetadata(s)
		case "spec":
			w.spec = s.Raw()
		case "status":
			if raw := s.Raw(); s.Err == nil && len(raw) > len("{}") {
				inner := apijson.Scan{Data: raw}
				inner.Into(&w.status)
				s.Err = inner.Err
			}
		default:
			s.Raw()
		}
	})
}

func (w *Wire) scanMetadata(s *apijson.Scan) {
	s.Object(func(name []byte) {
		switch string(name) {
		case "name":
			w.Name = s.Text()
		case "namespace":
			w.namespace = s.Word()
		case "uid":
			w.UID = types.UID(s.Text())
		case "resourceVersion":
			w.Version = s.Text()
		case "annotations":
			s.Object(func(name []byte) {
				switch string(name) {
				case v1alpha1.KeptLocallyAnnotation:
					w.late, w.after = true, s.Text()
				case v1alpha1.NoteAnnotation:
					w.Noted = true
					s.Raw()
				default:
					s.Raw()
				}
			})
		default:
			s.Raw()
		}
	})
}

// ErrUnreadable says that an AuditEvent is not what it should be: it is left out, so that it does not stop those that follow.
var ErrUnreadable = errors.New("the AuditEvent cannot be read")

// Event decodes what delivery needs. The result owns its memory.
func (w *Wire) Event() (Event, error) {
	event := Event{NamespacedName: w.Key(), UID: w.UID, Spec: bytes.Clone(w.spec), Status: w.status, Late: w.late, Moved: w.Moved()}
	version, err := w.RecordedAt()
	if err != nil {
		return Event{}, err
	}
	event.ResourceVersion = version
	event.After, _ = apijson.ParseVersion(w.after) // Older versions did not say.
	s := apijson.Scan{Data: w.spec}
	event.Head.scan(&s)
	if s.Err != nil {
		return Event{}, fmt.Errorf("decoding the spec of AuditEvent %s: %w: %w", event.NamespacedName, ErrUnreadable, s.Err)
	}
	event.Trail = types.UID(event.Head.TrailRef.UID)
	return event, nil
}

// Origin reads where the event belongs.
func (w *Wire) Origin() (Origin, error) {
	var from Origin
	s := apijson.Scan{Data: w.spec}
	from.scan(&s)
	if s.Err != nil {
		return Origin{}, fmt.Errorf("finding the trail of AuditEvent %s: %w", w.Key(), s.Err)
	}
	return from, nil
}

// Trail is the uid of the trail that asked for the event.
func (w *Wire) Trail() (types.UID, error) {
	from, err := w.Origin()
	return from.Trail, err
}

// Key is the name of the AuditEvent.
func (w *Wire) Key() types.NamespacedName {
	return types.NamespacedName{Namespace: w.namespace, Name: w.Name}
}

// RecordedAt is the resourceVersion at which the event was created, also when its status was written since.
func (w *Wire) RecordedAt() (uint64, error) {
	version := w.status.RecordedResourceVersion
	if version == "" {
		version = w.Version
	}
	return apijson.ParseVersion(version)
}

// Moved says that somebody has explained the event since it was created, and that nobody noted at which version that was.
func (w *Wire) Moved() bool { return w.Noted && w.status.RecordedResourceVersion == "" }
