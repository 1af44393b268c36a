package delivery

import (
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	// Late says that the event waited in a local file before it was stored.
	Late bool
	// Straggler says that others that were made after it were stored before it.
	Straggler bool
	// Upsert says that the update's request went on to create another object of the name.
	Upsert bool
	// Followed says that a later event of the backlog shows the object as it was before that: it existed.
	Followed bool
}

// Head are the fields of an AuditEvent's spec that delivery reads.
type Head struct {
	ID       string                  `json:"id"`
	Time     metav1.MicroTime        `json:"time"`
	Action   v1alpha1.Action         `json:"action"`
	TrailRef v1alpha1.TrailReference `json:"trailRef"`
	Actor    struct {
		Type     v1alpha1.ActorType `json:"type"`
		Username string             `json:"username"`
	} `json:"actor"`
	Resource v1alpha1.ResourceReference `json:"resource"`
	Evidence []v1alpha1.Evidence        `json:"evidence"`
}

// size is about what the event occupies in memory, in bytes.
func (e *Event) size() int {
	const fixed = 512
	return len(e.Spec) + fixed
}

// wireEvent is an AuditEvent with its spec undecoded.
type wireEvent struct {
	Metadata struct {
		Name            string    `json:"name"`
		Namespace       string    `json:"namespace"`
		UID             types.UID `json:"uid"`
		ResourceVersion string    `json:"resourceVersion"`
		Annotations     struct {
			KeptLocally string `json:"audit.trailkeeper.dev/kept-locally"`
		} `json:"annotations"`
	} `json:"metadata"`
	Spec   jsontext.Value            `json:"spec"`
	Status v1alpha1.AuditEventStatus `json:"status"`
}

// event decodes what delivery needs. The result owns its memory.
func (w *wireEvent) event() (Event, error) {
	event := Event{NamespacedName: w.key(), UID: w.Metadata.UID, Spec: w.Spec, Status: w.Status, Late: w.Metadata.Annotations.KeptLocally != ""}
	version, err := w.recordedAt()
	if err != nil {
		return Event{}, err
	}
	event.ResourceVersion = version
	if err := json.Unmarshal(w.Spec, &event.Head, jsontext.AllowDuplicateNames(true)); err != nil {
		return Event{}, fmt.Errorf("decoding the spec of AuditEvent %s: %w", event.NamespacedName, err)
	}
	event.Trail = types.UID(event.Head.TrailRef.UID)
	return event, nil
}

func (w *wireEvent) key() types.NamespacedName {
	return types.NamespacedName{Namespace: w.Metadata.Namespace, Name: w.Metadata.Name}
}

// recordedAt is the resourceVersion at which the event was created, also when its status was written since.
func (w *wireEvent) recordedAt() (uint64, error) {
	version := w.Status.RecordedResourceVersion
	if version == "" {
		version = w.Metadata.ResourceVersion
	}
	return parseVersion(version)
}

// parseVersion reads a resourceVersion; those of one resource are comparable integers (KEP-5504).
func parseVersion(version string) (uint64, error) {
	parsed, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("resourceVersion %q is not a number: %w", version, err)
	}
	return parsed, nil
}

func formatVersion(version uint64) string { return strconv.FormatUint(version, 10) }

// due is when the event may be judged: the API server needs a moment to store the change after the event was stored.
func (e *Event) due(settle time.Duration) time.Time { return e.Seen.Add(settle) }
