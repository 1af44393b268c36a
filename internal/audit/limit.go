package audit

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// maxSpec bounds an event's spec in bytes of JSON. Smaller regions of CloudWatch Logs take 256 KiB a record, in
	// which the JSON is escaped once more and the delivery's own fields are added.
	maxSpec = 160 << 10
	// maxChanges and maxRedacted are the bounds of the API's lists.
	maxChanges  = 4096
	maxRedacted = 4096
	// maxPointer is the bound of the API for a JSON Pointer, in characters.
	maxPointer = 4096
	// maxGroups bounds the groups that are kept when all else was cut.
	maxGroups = 64
)

// Bounds of the API for what the API server itself takes at any length, in characters and items. An event past them
// would be refused, and the change go unrecorded.
const (
	maxName       = 1024
	maxUsername   = 4096
	maxUserUID    = 1024
	maxUserGroups = 1024
	maxGroup      = 4096
	maxExtra      = 1024
	maxExtraValue = 65536
)

// limit cuts an event that is too large, the most voluminous and least telling first, and says what it cut. Who did
// what to which object, and when, is always kept.
func limit(spec *v1alpha1.AuditEventSpec) {
	limitLists(spec)
	if surelySmall(spec) {
		return
	}
	for _, cut := range []struct {
		name string
		cut  func(*v1alpha1.AuditEventSpec) bool
	}{
		{"object", cutObject},
		{"changes.values", cutValues},
		{"changes", cutChanges},
		{"redacted", cutRedacted},
		{"evidence", cutEvidence},
		{"actor.extra", cutExtra},
		{"actor.groups", cutGroups},
	} {
		if size(spec) <= maxSpec {
			return
		}
		if cut.cut(spec) {
			say(spec, cut.name)
		}
	}
}

// surelySmall says, without encoding it, that a spec is far from the limit, as nearly all are.
func surelySmall(spec *v1alpha1.AuditEventSpec) bool {
	const (
		fixed    = 16 << 10 // the fields that are not counted here, each of which has a bound of its own
		item     = 96       // the names and brackets of a list's item
		escaping = 6        // what one byte takes at most: "<" is written as \u003c
	)
	total := 0
	add := func(texts ...string) {
		for _, text := range texts {
			total += len(text)*escaping + item
		}
	}
	add(spec.Actor.Username, spec.Actor.UID, spec.Resource.Name, spec.Note)
	add(spec.Actor.Groups...)
	add(spec.Redacted...)
	for key, values := range spec.Actor.Extra {
		add(key)
		add(values...)
	}
	for i := range spec.Evidence {
		add(spec.Evidence[i].Path)
	}
	values := []*runtime.RawExtension{spec.Object}
	for i := range spec.Changes {
		add(*spec.Changes[i].Path)
		values = append(values, spec.Changes[i].From, spec.Changes[i].Value)
	}
	for _, value := range values {
		if value != nil {
			total += len(value.Raw) * escaping
		}
	}
	return total+fixed <= maxSpec
}

// say notes what was cut. The API has room for each part once.
func say(spec *v1alpha1.AuditEventSpec, part string) {
	if part == "changes" {
		spec.Truncated = slices.DeleteFunc(spec.Truncated, func(said string) bool { return said == "changes.values" })
	}
	if !slices.Contains(spec.Truncated, part) {
		spec.Truncated = append(spec.Truncated, part)
	}
}

// limitLists keeps the event within the bounds that its own schema sets, whatever its size.
func limitLists(spec *v1alpha1.AuditEventSpec) {
	limitIdentity(spec)
	truncated := false
	if len(spec.Changes) > maxChanges {
		spec.Changes, truncated = spec.Changes[:maxChanges], true
	}
	kept := spec.Changes[:0:0]
	for i := range spec.Changes {
		if len(*spec.Changes[i].Path) > maxPointer {
			truncated = true
			continue
		}
		kept = append(kept, spec.Changes[i])
	}
	spec.Changes = kept
	if truncated {
		say(spec, "changes")
	}
	spec.Redacted = shorterThan(maxPointer, spec.Redacted)
	if len(spec.Redacted) > maxRedacted {
		spec.Redacted = spec.Redacted[:maxRedacted]
		say(spec, "redacted")
	}
	evidence := spec.Evidence[:0:0]
	for i := range spec.Evidence {
		if len(spec.Evidence[i].Path) <= maxPointer {
			evidence = append(evidence, spec.Evidence[i])
		}
	}
	spec.Evidence = evidence
}

// limitIdentity keeps who and which object within the bounds: whatever a user can have the API server accept must not
// hide the change.
func limitIdentity(spec *v1alpha1.AuditEventSpec) {
	name := cutRunes(spec.Resource.Name, maxName)
	if name != spec.Resource.Name {
		spec.Resource.Name = name
		say(spec, "resource.name")
	}
	actor := spec.Actor
	actor.Username, actor.UID = cutRunes(actor.Username, maxUsername), cutRunes(actor.UID, maxUserUID)
	if actor.Username != spec.Actor.Username || actor.UID != spec.Actor.UID {
		spec.Actor = actor
		say(spec, "actor")
	}
	groups := shorterThan(maxGroup, actor.Groups)
	groups = groups[:min(len(groups), maxUserGroups)]
	if len(groups) != len(actor.Groups) {
		spec.Actor.Groups = groups
		say(spec, "actor.groups")
	}
	for _, values := range actor.Extra {
		if len(values) > maxExtra || len(shorterThan(maxExtraValue, values)) != len(values) {
			spec.Actor.Extra = nil
			say(spec, "actor.extra")
			return
		}
	}
}

// shorterThan are the strings that have at most so many bytes.
func shorterThan(limit int, list []string) []string {
	kept := list[:0:0]
	for _, text := range list {
		if len(text) <= limit {
			kept = append(kept, text)
		}
	}
	return kept
}

func cutObject(spec *v1alpha1.AuditEventSpec) bool {
	cut := spec.Object != nil
	spec.Object = nil
	return cut
}

// cutValues drops the large values and keeps the small ones, so that what changed is still told.
func cutValues(spec *v1alpha1.AuditEventSpec) bool {
	const small = 256
	cut := false
	for i := range spec.Changes {
		for _, value := range []**runtime.RawExtension{&spec.Changes[i].From, &spec.Changes[i].Value} {
			if *value != nil && len((*value).Raw) > small {
				*value, cut = nil, true
			}
		}
	}
	return cut
}

func cutChanges(spec *v1alpha1.AuditEventSpec) bool {
	cut := len(spec.Changes) > 0
	spec.Changes = nil
	return cut
}

func cutRedacted(spec *v1alpha1.AuditEventSpec) bool {
	cut := len(spec.Redacted) > 0
	spec.Redacted = nil
	return cut
}

func cutEvidence(spec *v1alpha1.AuditEventSpec) bool {
	cut := len(spec.Evidence) > 0
	spec.Evidence = nil
	return cut
}

func cutExtra(spec *v1alpha1.AuditEventSpec) bool {
	cut := len(spec.Actor.Extra) > 0
	spec.Actor.Extra = nil
	return cut
}

func cutGroups(spec *v1alpha1.AuditEventSpec) bool {
	if len(spec.Actor.Groups) <= maxGroups {
		return false
	}
	spec.Actor.Groups = spec.Actor.Groups[:maxGroups]
	return true
}
