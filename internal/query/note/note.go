// Package note gives an AuditEvent a note afterwards.
package note

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// Min is how many characters a note has at least, as the policy trailkeeper-auditevents asks for.
	Min = 3
	// Max is how many it has at most.
	Max = 255
)

// Patch is the change that puts a note on an event, in place of an earlier one. It fails when the text is too short or too long.
func Patch(text string) (client.Patch, error) {
	if length := utf8.RuneCountInString(text); length < Min || length > Max {
		return nil, fmt.Errorf("a note has %d to %d characters, and this one has %d", Min, Max, length)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{v1alpha1.NoteAnnotation: text}}})
	if err != nil {
		return nil, fmt.Errorf("encoding a note: %w", err)
	}
	return client.RawPatch(types.MergePatchType, patch), nil
}
