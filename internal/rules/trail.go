package rules

import (
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// CompiledTrail is an AuditTrail as the recorder needs it. It is immutable and shared.
type CompiledTrail struct {
	Namespace  string
	Name       string
	UID        types.UID
	Generation int64
	// Created is when the trail was made.
	Created time.Time

	// Scope follows from the trail's namespace.
	Scope v1alpha1.Scope
	// FailurePolicy is the trail's own. What holds for one request is in its Match.
	FailurePolicy v1alpha1.FailurePolicy
	Durability    v1alpha1.Durability
	// Full says that no more events may wait for the trail's destination: what it wants cannot be recorded.
	Full bool
	// Redaction are the trail's redaction paths as unescaped JSON Pointer segments (RFC 6901); a segment * stands for
	// every key or index.
	Redaction [][]string

	rules []rule
}

func compileTrail(trail *v1alpha1.AuditTrail, operatorNamespace string) *CompiledTrail {
	compiled := &CompiledTrail{
		Namespace:     trail.Namespace,
		Name:          trail.Name,
		UID:           trail.UID,
		Generation:    trail.Generation,
		Created:       trail.CreationTimestamp.Time,
		Scope:         ScopeOf(trail.Namespace, operatorNamespace),
		FailurePolicy: v1alpha1.FailurePolicyIgnore,
		Durability:    v1alpha1.DurabilityReplicated,
		Full:          trail.BacklogIsFull(),
	}
	if trail.Spec.Recording.FailurePolicy == v1alpha1.FailurePolicyFail {
		compiled.FailurePolicy = v1alpha1.FailurePolicyFail
	}
	if trail.Spec.Recording.Durability == v1alpha1.DurabilityLocal {
		compiled.Durability = v1alpha1.DurabilityLocal
	}
	if trail.Spec.Redaction != nil {
		for _, path := range trail.Spec.Redaction.Paths {
			compiled.Redaction = append(compiled.Redaction, pointerSegments(path))
		}
	}
	list := trail.Spec.Rules
	if len(list) == 0 {
		list = Default()
	}
	for i := range list {
		compiled.rules = append(compiled.rules, compileRule(&list[i]))
	}
	return compiled
}

// ScopeOf is the scope of the trails in a namespace: Tenant in the operator's own, Project in any other.
func ScopeOf(namespace, operatorNamespace string) v1alpha1.Scope {
	if namespace == operatorNamespace {
		return v1alpha1.ScopeTenant
	}
	return v1alpha1.ScopeProject
}

// pointerSegments are the reference tokens of a JSON Pointer. ~1 is read before ~0, as RFC 6901 section 4 asks.
func pointerSegments(pointer string) []string {
	segments := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, segment := range segments {
		segments[i] = strings.ReplaceAll(strings.ReplaceAll(segment, "~1", "/"), "~0", "~")
	}
	return segments
}

// levelOf is the level of the first rule that matches, None when none does.
func (t *CompiledTrail) levelOf(req *Request, operation operations, namespaceLabels NamespaceLabels) v1alpha1.Level {
	for i := range t.rules {
		if t.rules[i].match(req, operation, namespaceLabels) {
			return t.rules[i].level
		}
	}
	return v1alpha1.LevelNone
}

// RecordsDeletesOf reports whether the trail is certain to record every deletion of such an object, whoever deletes and whatever the object's name. The outcome check concludes from the
// absence of a Delete record only where this is true.
func (t *CompiledTrail) RecordsDeletesOf(ref *v1alpha1.ResourceReference) bool {
	if t.Scope == v1alpha1.ScopeProject && ref.Namespace != t.Namespace {
		return false
	}
	for i := range t.rules {
		r := &t.rules[i]
		if r.operations&opDelete == 0 || !r.matchResource(ref.Group, ref.Resource, "") || !r.kinds.match(ref.Kind) ||
			!r.mayMatchNamespace(ref.Namespace) {
			continue
		}
		// A deletion has no field manager.
		if !r.fieldManagers.absent() && !r.fieldManagers.match("") {
			continue
		}
		if !r.records() {
			return false
		}
		if r.anyActor() && r.names.certain() && !r.byLabels {
			return true
		}
	}
	return false
}

// mayMatchNamespace reports whether the rule can match objects of the namespace, now or with other labels.
func (r *rule) mayMatchNamespace(namespace string) bool {
	if namespace == "" {
		return r.namespaces.absent() && !r.byLabels
	}
	return r.namespaces.absent() || r.namespaces.match(namespace)
}

// anyActor reports whether the rule matches whoever asks. A rule with groups never does: an identity may have none.
func (r *rule) anyActor() bool {
	if !r.users.certain() || !r.groups.absent() {
		return false
	}
	return len(r.actors) == 0 || !slices.ContainsFunc(allActors, func(actor v1alpha1.ActorType) bool {
		return !slices.Contains(r.actors, actor)
	})
}
