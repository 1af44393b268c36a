package query

import (
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/fields"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// Filter says which events are wanted. Each field that is set must hold; the zero Filter wants all events.
type Filter struct {
	// Actions are those of which the event must have one.
	Actions []v1alpha1.Action
	// Kinds are those of which the object must have one, whatever their case.
	Kinds []string
	// Name, Namespace and UID are the object's.
	Name, Namespace, UID string
	// User is the actor's user name or uid.
	User string
	// Trail is the name of the trail that recorded the event.
	Trail string
	// Outcomes are those of which the event must have one; "" stands for an event that was not judged yet.
	Outcomes []v1alpha1.Outcome
	// Start and End bound the event's time: from Start on, and before End. A zero time leaves that side open.
	Start, End time.Time
}

// Matches says whether a row is wanted.
func (f *Filter) Matches(row *Row) bool {
	spec := &row.Event.Spec
	object, actor, at := &spec.Resource, &spec.Actor, spec.Time.Time
	return (len(f.Actions) == 0 || slices.Contains(f.Actions, spec.Action)) &&
		(len(f.Kinds) == 0 || slices.ContainsFunc(f.Kinds, func(kind string) bool { return strings.EqualFold(kind, object.Kind) })) &&
		equalOrAny(f.Name, object.Name) &&
		equalOrAny(f.Namespace, object.Namespace) &&
		equalOrAny(f.UID, object.UID) &&
		(f.User == "" || f.User == actor.Username || f.User == actor.UID) &&
		equalOrAny(f.Trail, spec.TrailRef.Name) &&
		(len(f.Outcomes) == 0 || slices.Contains(f.Outcomes, row.Outcome)) &&
		(f.Start.IsZero() || !at.Before(f.Start)) &&
		(f.End.IsZero() || at.Before(f.End))
}

func equalOrAny(wanted, is string) bool { return wanted == "" || wanted == is }

// selector is what the API server can filter by itself. It compares exactly, so it knows nothing of kinds whatever their case.
func (f *Filter) selector() fields.Selector {
	wanted := fields.Set{}
	for field, value := range map[string]string{
		v1alpha1.FieldTrail: f.Trail, v1alpha1.FieldResourceName: f.Name, v1alpha1.FieldResourceNamespace: f.Namespace,
	} {
		if value != "" {
			wanted[field] = value
		}
	}
	if len(f.Actions) == 1 {
		wanted[v1alpha1.FieldAction] = string(f.Actions[0])
	}
	return wanted.AsSelector()
}

// selective says that the API server cannot do all the filtering, so that a page may have few rows that are wanted.
func (f *Filter) selective() bool {
	return len(f.Kinds) > 0 || f.UID != "" || f.User != "" || len(f.Outcomes) > 0 || len(f.Actions) > 1
}
