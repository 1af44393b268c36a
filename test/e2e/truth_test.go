package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"sort"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// fact is one change: who did what to which object.
type fact struct {
	user, action, resource, namespace, name string
}

func (f fact) String() string {
	return fmt.Sprintf("%s %s %s %s/%s", f.user, f.action, f.resource, f.namespace, f.name)
}

// actions are the actions of the verbs that change something.
var actions = map[string]v1alpha1.Action{
	"create": v1alpha1.ActionCreate, "update": v1alpha1.ActionUpdate, "patch": v1alpha1.ActionUpdate,
	"delete": v1alpha1.ActionDelete, "deletecollection": v1alpha1.ActionDelete,
}

// answered is what a response shows of the object that was changed.
type answered struct {
	Kind     string
	Metadata metav1.ObjectMeta
	// Details is set in the Status that answers a deletion.
	Details struct{ UID, Name string }
	Items   []struct{ Metadata metav1.ObjectMeta }
}

// truth reads from the API server's own audit log what the people changed in a namespace.
func truth(entries []testenv.AuditEntry, namespace string, people map[string]bool) ([]fact, error) {
	last := memory{versions: map[string]uint64{}, contents: map[string]string{}}
	var facts []fact
	sort.SliceStable(entries, func(i, j int) bool { return versionOf(entries[i]) < versionOf(entries[j]) })
	for _, entry := range entries {
		action, changes := actions[entry.Verb]
		if !changes || entry.ResponseStatus.Code >= 300 || isDryRun(entry.RequestURI) || entry.ObjectRef.Namespace != namespace {
			continue
		}
		var answer answered
		if err := json.Unmarshal(entry.ResponseObject, &answer); err != nil {
			return nil, fmt.Errorf("reading the response of %s %s: %w", entry.Verb, entry.RequestURI, err)
		}
		same := last.knows(entry, &answer)
		if same && action == v1alpha1.ActionUpdate && !isGone(&answer.Metadata) || !people[entry.User.Username] {
			continue
		}
		facts = append(facts, factsOf(entry, action, &answer)...)
	}
	return facts, nil
}

// memory is what objects looked like, by uid.
type memory struct {
	versions map[string]uint64
	contents map[string]string
}

// knows says that the object looked just so before: its resourceVersion is the same, or only the bookkeeping of the
// API server differs. It remembers what the object looks like now.
func (m *memory) knows(entry testenv.AuditEntry, answer *answered) bool {
	uid, version := string(answer.Metadata.UID), versionOf(entry)
	if uid == "" || version == 0 {
		return false
	}
	same := m.versions[uid] == version
	m.versions[uid] = version
	for kind, content := range contents(entry, answer.Kind) {
		same = same || kind == answer.Kind && m.contents[uid+kind] == content
		m.contents[uid+kind] = content
	}
	return same
}

// contents are what the response shows, without bookkeeping: of the object, and of its scale.
func contents(entry testenv.AuditEntry, kind string) map[string]string {
	var object struct {
		Metadata map[string]any
		Spec     map[string]any
	}
	var whole map[string]any
	if json.Unmarshal(entry.ResponseObject, &object) != nil || json.Unmarshal(entry.ResponseObject, &whole) != nil {
		return nil
	}
	for _, field := range []string{"managedFields", "resourceVersion", "generation"} {
		delete(object.Metadata, field)
	}
	whole["metadata"] = object.Metadata
	replicas, _ := object.Spec["replicas"].(float64)
	content, _ := json.Marshal(whole)
	return map[string]string{"Scale": fmt.Sprint(replicas), kind: scaleOr(kind, fmt.Sprint(replicas), string(content))}
}

func scaleOr(kind, replicas, content string) string {
	if kind == "Scale" {
		return replicas
	}
	return content
}

func factsOf(entry testenv.AuditEntry, action v1alpha1.Action, answer *answered) []fact {
	f := fact{
		user: entry.User.Username, action: string(action), resource: entry.ObjectRef.Resource,
		namespace: entry.ObjectRef.Namespace, name: entry.ObjectRef.Name,
	}
	if entry.ObjectRef.Subresource != "" {
		f.resource += "/" + entry.ObjectRef.Subresource
	}
	if entry.Verb == "deletecollection" {
		var facts []fact
		for _, item := range answer.Items {
			f.name = item.Metadata.Name
			facts = append(facts, f)
		}
		return facts
	}
	if answer.Metadata.Name != "" {
		f.name = answer.Metadata.Name
	}
	switch {
	case entry.Verb == "patch" && entry.ResponseStatus.Code == 201:
		// Server-side apply creates what is missing.
		f.action = string(v1alpha1.ActionCreate)
	case action == v1alpha1.ActionUpdate && isGone(&answer.Metadata):
		f.action = string(v1alpha1.ActionDelete)
	}
	return []fact{f}
}

// isGone says that an update removed the last finalizer, which completes a deletion.
func isGone(object *metav1.ObjectMeta) bool {
	return object.DeletionTimestamp != nil && len(object.Finalizers) == 0
}

func versionOf(entry testenv.AuditEntry) uint64 {
	var answer struct{ Metadata metav1.ObjectMeta }
	if json.Unmarshal(entry.ResponseObject, &answer) != nil {
		return 0
	}
	version, err := strconv.ParseUint(answer.Metadata.ResourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return version
}

func isDryRun(uri string) bool {
	parsed, err := url.Parse(uri)
	return err == nil && parsed.Query().Has("dryRun")
}

func factOf(spec *v1alpha1.AuditEventSpec) fact {
	resource := spec.Resource.Resource
	if spec.Resource.Subresource != "" {
		resource += "/" + spec.Resource.Subresource
	}
	return fact{spec.Actor.Username, string(spec.Action), resource, spec.Resource.Namespace, spec.Resource.Name}
}

// difference lists what one side has more of than the other.
func difference(want, got []fact) string {
	counts := map[fact]int{}
	for _, f := range want {
		counts[f]++
	}
	for _, f := range got {
		counts[f]--
	}
	var lines []string
	for f, count := range counts {
		switch {
		case count > 0:
			lines = append(lines, fmt.Sprintf("missed %d: %s", count, f))
		case count < 0:
			lines = append(lines, fmt.Sprintf("extra %d: %s", -count, f))
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}
