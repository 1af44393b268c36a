package audit

import (
	"slices"
	"time"

	"github.com/wI2L/jsondiff"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// Wanted is what one trail asks of a change.
type Wanted struct {
	// Trail is the trail that asks.
	Trail v1alpha1.TrailReference
	// Level is how much it asks for; never None.
	Level v1alpha1.Level
	// Redact are further paths to redact, as the segments of JSON Pointers.
	Redact [][]string
}

// Event is a trail's record of the change. The caller chooses its name, and says when the request arrived.
func (c *Change) Event(wanted Wanted, name string, received time.Time) *v1alpha1.AuditEvent {
	before, after, patch, redacted := c.before, c.after, c.difference, c.redacted
	if len(wanted.Redact) > 0 {
		before, after = cloneObject(before), cloneObject(after)
		redacted = merge(redacted, c.redact(wanted.Redact, before, after))
		patch = diff(before, after)
	}
	info := c.info
	event := &v1alpha1.AuditEvent{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "AuditEvent"},
		ObjectMeta: metav1.ObjectMeta{
			Name:      name,
			Namespace: wanted.Trail.Namespace,
			Labels:    labels(wanted.Trail.Name),
		},
		Spec: v1alpha1.AuditEventSpec{
			ID:       c.id,
			Time:     metav1.NewMicroTime(received.UTC()),
			Action:   c.action,
			TrailRef: wanted.Trail,
			Actor:    c.actor,
			Resource: c.resource,
			Request:  &info,
			Note:     c.note,
			Level:    wanted.Level,
			Evidence: c.evidence,
		},
	}
	c.fill(&event.Spec, before, after, patch, redacted)
	limit(&event.Spec)
	return event
}

// fill adds what the level asks for. The whole object says all that the changes of a Create or a Delete would.
func (c *Change) fill(spec *v1alpha1.AuditEventSpec, before, after object, patch jsondiff.Patch, redacted []string) {
	whole := after
	if whole == nil {
		whole = before
	}
	switch {
	case spec.Level == v1alpha1.LevelMetadata:
		return
	case spec.Level == v1alpha1.LevelObject && whole != nil:
		spec.Object = raw(whole)
		if before != nil && after != nil || c.marksForDeletion {
			spec.Changes = c.changes(before, after, patch)
		}
	default:
		spec.Changes = c.changes(before, after, patch)
	}
	spec.Redacted = redacted
}

// maxLabel is the longest value of a label. An object's name, which is checked already, is one unless it is longer.
const maxLabel = 63

func labels(trail string) map[string]string {
	if len(trail) > maxLabel {
		return nil
	}
	return map[string]string{v1alpha1.TrailLabel: trail}
}

func merge(a, b []string) []string {
	merged := slices.Concat(a, b)
	slices.Sort(merged)
	return slices.Compact(merged)
}
