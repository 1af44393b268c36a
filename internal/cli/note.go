package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/query/note"
)

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
	patch, err := note.Patch(text)
	if err != nil {
		return err
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	event := &v1alpha1.AuditEvent{}
	if err := s.find(ctx, c, "AuditEvent", name, event); err != nil {
		return err
	}
	if err := c.Patch(ctx, event, patch); err != nil {
		return refused(fmt.Errorf("writing the note: %w", err), editorRole, event.Namespace)
	}
	s.printf("%s: noted %q\n", plain(headline(&event.Spec)), plain(text))
	return nil
}
