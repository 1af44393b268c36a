package chunk

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// Entry is one event of a chunk.
type Entry struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// ResourceVersion is the one at which the event was recorded.
	ResourceVersion uint64 `json:"resourceVersion"`
	// Outcome and Message are what was found out when the event was packed: later it could not be found out any more.
	Outcome v1alpha1.Outcome `json:"outcome,omitzero"`
	Message string           `json:"message,omitzero"`
	// Spec is the event's spec as it was stored.
	Spec jsontext.Value `json:"spec"`
}

// errOrder says that events do not come in the order in which they were recorded.
var errOrder = errors.New("an event is not past the one before it")
