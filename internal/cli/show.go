package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/query"
)

// maxCauses bounds how far back show follows causes: Pod, ReplicaSet, Deployment and what is built upon it.
const maxCauses = 8

func (s *session) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show [NAMESPACE/]EVENT",
		Short: "Show one change: who, what exactly, why, and whether it stuck",
		Long: `Shows one AuditEvent: who made the change and when, what changed, the note, whether it stuck, and what caused it. EVENT is
the last column of kubectl trail events. What the cluster has no longer is looked for in CloudWatch Logs, with your own AWS
credentials.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			row, err := s.findEvent(command.Context(), c, args[0])
			if err != nil {
				return err
			}
			s.printEvent(command.Context(), c, row)
			return nil
		},
	}
}

// printEvent shows an event. The reader finds what led to it.
func (s *session) printEvent(ctx context.Context, c client.Reader, row *query.Row) {
	event, spec := row.Event, &row.Event.Spec
	s.printf("%s\n\n", s.paint(bold, plain(headline(spec))))
	s.field("By", actorText(&spec.Actor))
	s.field("At", spec.Time.UTC().Format("2006-01-02 15:04:05.000000Z"))
	s.field("Outcome", outcomeText(row))
	s.field("Note", spec.Note)
	s.field("Later note", event.Annotations[v1alpha1.NoteAnnotation])
	name := "Caused by"
	for _, cause := range s.causes(ctx, c, spec.Cause) {
		s.field(name, cause)
		name = "  that by"
	}
	s.field("Request", requestText(spec))
	s.field("Trail", spec.TrailRef.Namespace+"/"+spec.TrailRef.Name)
	s.field("Event", event.Namespace+"/"+event.Name)
	s.field("Change", spec.ID)
	if row.Source == query.SourceLogGroup {
		s.field("Found in", "CloudWatch Logs; the cluster has it no longer")
	}
	if len(spec.Truncated) > 0 {
		s.field("Cut", strings.Join(spec.Truncated, ", ")+" (the event was too large)")
	}
	s.printNotice(spec.Notice)
	s.printChanges(spec)
	s.printObject(spec)
}

// field prints a line that has a name, if there is something to say.
func (s *session) field(name, text string) {
	if text != "" {
		s.printf("  %-10s  %s\n", name, plain(text))
	}
}

// headline is one sentence about a change.
func headline(spec *v1alpha1.AuditEventSpec) string {
	if spec.Action == v1alpha1.ActionNotice && spec.Notice != nil {
		return fmt.Sprintf("Notice %s about trail %s/%s", spec.Notice.Reason, spec.TrailRef.Namespace, spec.TrailRef.Name)
	}
	return fmt.Sprintf("%s %s", spec.Action, objectText(&spec.Resource))
}

// objectText is an object as one names it: Deployment.apps shop/web.
func objectText(r *v1alpha1.ResourceReference) string {
	kind := r.Kind
	if r.Group != "" {
		kind += "." + r.Group
	}
	if r.Subresource != "" {
		kind += " (" + r.Resource + "/" + r.Subresource + ")"
	}
	return kind + " " + objectName(r)
}

func objectName(r *v1alpha1.ResourceReference) string {
	if r.Namespace == "" {
		return r.Name
	}
	return r.Namespace + "/" + r.Name
}

func actorText(actor *v1alpha1.Actor) string {
	text := cmp.Or(actor.Username, "somebody unknown") + " (" + string(actor.Type) + ")"
	groups := slices.DeleteFunc(slices.Clone(actor.Groups), func(group string) bool { return group == "system:authenticated" })
	if len(groups) > 0 {
		text += ", groups " + strings.Join(groups, ", ")
	}
	return text
}

func requestText(spec *v1alpha1.AuditEventSpec) string {
	if spec.Request == nil {
		return ""
	}
	var parts []string
	if spec.Request.FieldManager != "" {
		parts = append(parts, "field manager "+spec.Request.FieldManager)
	}
	if spec.Request.RequestKind != "" {
		parts = append(parts, "asked for as "+spec.Request.RequestKind)
	}
	if spec.Request.PropagationPolicy != "" {
		parts = append(parts, "propagation policy "+string(spec.Request.PropagationPolicy))
	}
	if grace := spec.Request.GracePeriodSeconds; grace != nil {
		parts = append(parts, fmt.Sprintf("grace period %d s", *grace))
	}
	return strings.Join(parts, ", ")
}

// outcomeText says whether the change stuck.
func outcomeText(row *query.Row) string {
	switch {
	case row.Event.Spec.Action == v1alpha1.ActionConnect || row.Event.Spec.Action == v1alpha1.ActionNotice:
		return ""
	case row.Outcome != "":
		return joined(string(row.Outcome), row.Message)
	default:
		return "not known to be judged yet; what sticks is judged within seconds"
	}
}

func joined(text, more string) string {
	if more == "" {
		return text
	}
	return text + ": " + more
}

// causes are what led to a change, nearest first.
func (s *session) causes(ctx context.Context, c client.Reader, cause *v1alpha1.Cause) []string {
	var texts []string
	for cause != nil && len(texts) < maxCauses {
		namespace, name, ok := strings.Cut(cause.Event, "/")
		if !ok {
			return append(texts, string(cause.Reason))
		}
		event := &v1alpha1.AuditEvent{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, event); err != nil {
			why := "it cannot be read"
			if apierrors.IsNotFound(err) {
				why = "it is not in the cluster any more"
			}
			return append(texts, fmt.Sprintf("%s: event %s (%s)", cause.Reason, cause.Event, why))
		}
		spec := &event.Spec
		texts = append(texts, fmt.Sprintf("%s: %s by %s at %s, event %s",
			cause.Reason, headline(spec), cmp.Or(spec.Actor.Username, "somebody unknown"), moment(spec.Time.Time), cause.Event))
		cause = spec.Cause
	}
	return texts
}

func (s *session) printNotice(notice *v1alpha1.Notice) {
	if notice == nil {
		return
	}
	s.printf("\n  %s\n", plain(notice.Message))
	if notice.Start != nil {
		s.field("From", notice.Start.UTC().Format(time.RFC3339Nano))
	}
	if notice.End != nil {
		s.field("To", notice.End.UTC().Format(time.RFC3339Nano))
	}
	if notice.Count != nil {
		s.field("Missing", amount(*notice.Count, "event", "events"))
	}
}
