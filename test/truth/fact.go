package truth

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/rules"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// Fact is one change that a request made to one object.
type Fact struct {
	// Users made it: one, or several of which the log does not tell who was first to make the very same change.
	Users []string
	// Action is what an event must say of it.
	Action v1alpha1.Action
	// Group, Resource, Namespace and Name are the object's; Resource with the subresource.
	Group, Resource, Namespace, Name string
	// UID is the object's, when the log shows it.
	UID string
	// After is the object's version after an update, and Before the last known one before it; 0 when not known.
	Before, After uint64
	// Doubt says why it may not have happened; empty when it surely did.
	Doubt string
	// Contested says that the request changed nothing and that this cannot be told, so that an event may at most say
	// Unknown.
	Contested bool
	// Entry is the request.
	Entry *testenv.AuditEntry
	// asked is the request as rules see it.
	asked rules.Request
}

func (f *Fact) String() string {
	return fmt.Sprintf("%s %s %s %s %s/%s uid=%s version %d->%d code=%d received=%s answered=%s auditID=%s %s",
		strings.Join(f.Users, "|"), f.Entry.Verb, f.Action, f.Resource, f.Namespace, f.Name, f.UID, f.Before, f.After,
		f.Entry.ResponseStatus.Code, clockOf(f.Entry.RequestReceivedTimestamp), clockOf(f.Entry.StageTimestamp), f.Entry.AuditID, f.Doubt)
}

func clockOf(t time.Time) string { return t.UTC().Format("15:04:05.000000") }

// Wants says which facts a trail asks for, by its rules. operator is the operator's namespace.
func Wants(trail *v1alpha1.AuditTrail, operator string) func(*Fact) bool {
	set := rules.Compile([]v1alpha1.AuditTrail{*trail}, rules.Options{
		OperatorNamespace: operator, OperatorUsername: rules.ServiceAccountUsername(operator),
	})
	return func(f *Fact) bool { return len(set.AppendMatches(nil, &f.asked)) > 0 }
}

// Claim is what a trail says: one event.
type Claim struct {
	Event   string
	Spec    *v1alpha1.AuditEventSpec
	Outcome v1alpha1.Outcome
}

// Claims are those of AuditEvents that say who changed what. A Notice tells of recording itself, and what was only watched
// does not say who made it.
func Claims(trail *v1alpha1.AuditTrail, events []v1alpha1.AuditEvent) []Claim {
	var claims []Claim
	for i := range events {
		spec := &events[i].Spec
		if spec.TrailRef.UID == string(trail.UID) && spec.Action != v1alpha1.ActionNotice && spec.Actor.Type != v1alpha1.ActorUnknown {
			claims = append(claims, Claim{events[i].Name, &events[i].Spec, events[i].Status.Outcome})
		}
	}
	return claims
}

// denied says that the event itself tells that the change was not made.
func (c *Claim) denied() bool { return c.Outcome == v1alpha1.OutcomeNotPersisted }

func (c *Claim) String() string {
	r := &c.Spec.Resource
	var changed []string
	for i := range c.Spec.Changes {
		changed = append(changed, *c.Spec.Changes[i].Path)
	}
	return fmt.Sprintf("%s %s %s %s/%s uid=%s base=%s deletionTime=%v time=%s outcome=%q event=%s changes=%v",
		c.Spec.Actor.Username, c.Spec.Action, resourceOf(r), r.Namespace, r.Name, r.UID, r.ResourceVersion, r.DeletionTime,
		clockOf(c.Spec.Time.Time), c.Outcome, c.Event, changed)
}

func resourceOf(r *v1alpha1.ResourceReference) string {
	if r.Subresource == "" {
		return r.Resource
	}
	return r.Resource + "/" + r.Subresource
}

const (
	// slack is how far two clocks of one machine may be apart when they are read a moment after each other.
	slack = 20 * time.Millisecond
	// coalesced is how long after a refused try the same change is still told by the first try's event.
	coalesced = 1200 * time.Millisecond
)

// isOf says that the claim can be the fact's.
func (c *Claim) isOf(f *Fact) bool {
	r := &c.Spec.Resource
	switch {
	case !slices.Contains(f.Users, c.Spec.Actor.Username), c.Spec.Action != f.Action,
		r.Group != f.Group, resourceOf(r) != f.Resource, r.Namespace != f.Namespace:
		return false
	case f.Name != "" && r.Name != f.Name, f.UID != "" && r.UID != "" && r.UID != f.UID:
		return false
	case c.Spec.Time.Time.Before(f.Entry.RequestReceivedTimestamp.Add(-slack - coalesced)),
		c.Spec.Time.After(f.Entry.StageTimestamp.Add(slack)):
		return false
	}
	if f.Contested && c.Outcome != v1alpha1.OutcomeUnknown {
		return false
	}
	base := parseVersion(r.ResourceVersion)
	return f.After == 0 || base == 0 || f.Action != v1alpha1.ActionUpdate || base >= f.Before && base < f.After
}
