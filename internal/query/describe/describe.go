package describe

import (
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// Action says in one sentence, without a full stop, who did what to which object.
func Action(event *v1alpha1.AuditEvent) string {
	spec := &event.Spec
	if spec.Notice != nil {
		return spec.Notice.Message
	}
	return who(&spec.Actor) + " " + verb(spec) + " " + object(&spec.Resource)
}

func who(actor *v1alpha1.Actor) string {
	if actor.Username == "" {
		return "Somebody"
	}
	return actor.Username
}

func verb(spec *v1alpha1.AuditEventSpec) string {
	switch spec.Action {
	case v1alpha1.ActionCreate:
		return "created"
	case v1alpha1.ActionUpdate:
		return "updated"
	case v1alpha1.ActionDelete:
		if spec.Cause != nil && spec.Cause.Reason == v1alpha1.CauseEviction {
			return "evicted"
		}
		return "deleted"
	case v1alpha1.ActionConnect:
		return "connected to"
	default:
		return strings.ToLower(string(spec.Action))
	}
}

func object(ref *v1alpha1.ResourceReference) string {
	text := ref.Kind + " " + ref.Name
	if ref.Subresource != "" {
		text = "the " + ref.Subresource + " of " + text
	}
	if ref.Namespace != "" {
		text += " in namespace " + ref.Namespace
	}
	return text
}

// Content says what changed, a line for each change: "path: before → after", with + for what is new and - for what is gone. When
// the event has the whole object instead, it is that, as indented JSON.
func Content(event *v1alpha1.AuditEvent) string {
	spec := &event.Spec
	if len(spec.Changes) == 0 {
		return indented(spec.Object)
	}
	var text strings.Builder
	for i := range spec.Changes {
		if i > 0 {
			text.WriteByte('\n')
		}
		text.WriteString(line(&spec.Changes[i]))
	}
	if len(spec.Truncated) > 0 {
		fmt.Fprintf(&text, "\n(left out because the event was too large: %s)", strings.Join(spec.Truncated, ", "))
	}
	return text.String()
}

func line(change *v1alpha1.Change) string {
	path := "/"
	if change.Path != nil && *change.Path != "" {
		path = *change.Path
	}
	switch change.Op {
	case "add":
		return "+ " + path + ": " + value(change.Value)
	case "remove":
		return "- " + path + ": " + value(change.From)
	default:
		return path + ": " + value(change.From) + " → " + value(change.Value)
	}
}

func value(raw *runtime.RawExtension) string {
	if raw == nil || len(raw.Raw) == 0 {
		return "(not recorded)"
	}
	return string(raw.Raw)
}

func indented(raw *runtime.RawExtension) string {
	if raw == nil || len(raw.Raw) == 0 {
		return ""
	}
	var object any
	if json.Unmarshal(raw.Raw, &object) != nil {
		return string(raw.Raw)
	}
	text, err := json.MarshalIndent(object, "", "  ")
	if err != nil {
		return string(raw.Raw)
	}
	return string(text)
}

// Note is why it was done: what was said afterwards, else what was said with the change.
func Note(event *v1alpha1.AuditEvent) string {
	if later := event.Annotations[v1alpha1.NoteAnnotation]; later != "" {
		return later
	}
	return event.Spec.Note
}
