package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// A note has this many characters, as the policy trailkeeper-auditevents asks for.
const minNote, maxNote = 3, 255

func (s *session) noteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "note [NAMESPACE/]EVENT TEXT...",
		Short: "Explain a change afterwards",
		Long: `Writes a note on an AuditEvent, in place of an earlier one: 3 to 255 characters that say why the change was made. Who wrote
it and when is an event of its own, in the same trail. It needs patch on auditevents, which the role trailkeeper-editor gives.`,
		Example: `  kubectl trail note shop/01m85rmyec68bptdzgrrkf1ctt "Rollback of 1.29, see INC-7"`,
		Args:    cobra.MinimumNArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			return s.note(command.Context(), args[0], strings.TrimSpace(strings.Join(args[1:], " ")))
		},
	}
}

func (s *session) note(ctx context.Context, name, text string) error {
	if length := utf8.RuneCountInString(text); length < minNote || length > maxNote {
		return fmt.Errorf("a note has %d to %d characters, and this one has %d", minNote, maxNote, length)
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	event := &v1alpha1.AuditEvent{}
	if err := s.find(ctx, c, "AuditEvent", name, event); err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{v1alpha1.NoteAnnotation: text}}})
	if err != nil {
		return fmt.Errorf("encoding the note: %w", err)
	}
	if err := c.Patch(ctx, event, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return refused(fmt.Errorf("writing the note: %w", err), editorRole, event.Namespace)
	}
	s.printf("%s: noted %q\n", plain(headline(&event.Spec)), plain(text))
	return nil
}
