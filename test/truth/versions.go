package truth

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// answer is what a response shows of the object that was changed.
type answer struct {
	Kind     string
	Metadata metav1.ObjectMeta
	Spec     struct {
		Finalizers []string
		Replicas   *int
	}
	// Details are set in the Status that answers a deletion.
	Details struct{ UID, Name string }
	Items   []struct{ Metadata metav1.ObjectMeta }

	version uint64
	// content is the object without bookkeeping and its replicas; empty of a Scale.
	content string
}

// shows says that a list has an object.
func (a *answer) shows(uid string) bool {
	return slices.ContainsFunc(a.Items, func(item struct{ Metadata metav1.ObjectMeta }) bool { return string(item.Metadata.UID) == uid })
}

func readAnswer(entry *testenv.AuditEntry) (*answer, error) {
	a := &answer{}
	if len(entry.ResponseObject) == 0 {
		return a, nil
	}
	if err := json.Unmarshal(entry.ResponseObject, a); err != nil {
		return nil, err
	}
	a.version = parseVersion(a.Metadata.ResourceVersion)
	if a.Kind == scale && a.Spec.Replicas == nil {
		a.Spec.Replicas = new(int) // A Scale of no replicas does not say so.
	}
	if a.Metadata.UID == "" || a.Kind == scale {
		return a, nil
	}
	var whole map[string]any
	if err := json.Unmarshal(entry.ResponseObject, &whole); err != nil {
		return nil, err
	}
	if metadata, ok := whole["metadata"].(map[string]any); ok {
		for _, field := range []string{"managedFields", "resourceVersion", "generation"} {
			delete(metadata, field)
		}
	}
	if spec, ok := whole["spec"].(map[string]any); ok {
		delete(spec, "replicas")
	}
	content, err := json.Marshal(whole)
	a.content = string(content)
	return a, err
}

const (
	scale = "Scale"
	// partial is what answers who asked for metadata alone.
	partial = "PartialObjectMetadata"
)

// withMetadata is an object's content with other metadata.
func withMetadata(content, other string) string {
	var whole, part map[string]any
	if json.Unmarshal([]byte(content), &whole) != nil || json.Unmarshal([]byte(other), &part) != nil {
		return ""
	}
	whole["metadata"] = part["metadata"]
	merged, err := json.Marshal(whole)
	if err != nil {
		return ""
	}
	return string(merged)
}

// isGone says that an update removed what kept an object whose deletion had been asked for.
func (a *answer) isGone() bool {
	grace := a.Metadata.DeletionGracePeriodSeconds
	return a.Metadata.DeletionTimestamp != nil && len(a.Metadata.Finalizers) == 0 &&
		(a.Kind != "Namespace" || len(a.Spec.Finalizers) == 0) && (grace == nil || *grace == 0)
}

// deletionAsked is when the object's deletion was asked for; zero when it was not.
func (a *answer) deletionAsked() time.Time {
	if a.Metadata.DeletionTimestamp == nil {
		return time.Time{}
	}
	var grace int64
	if a.Metadata.DeletionGracePeriodSeconds != nil {
		grace = *a.Metadata.DeletionGracePeriodSeconds
	}
	return a.Metadata.DeletionTimestamp.Add(-time.Duration(grace) * time.Second)
}

func deletionOf(a *answer) time.Time {
	if a.Metadata.DeletionTimestamp == nil {
		return time.Time{}
	}
	return a.Metadata.DeletionTimestamp.Time
}

func parseVersion(text string) uint64 {
	version, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return version
}

// version is one state of an object, as the first response that showed it.
type version struct {
	number   uint64
	name     string
	content  string
	replicas *int
	deleting bool
	deletion time.Time
	// finalizers say what becomes of its dependents, and who else is to be waited for.
	finalizers []string
	entry      *testenv.AuditEntry
	// also are the users of requests that went on at the same time and showed the same.
	also []string
}

// objects are the versions of every object, by uid, the oldest first.
type objects map[string][]*version

// add notes what a response shows. Entries must come in the order in which they were answered.
func (o objects) add(entry *testenv.AuditEntry, a *answer) {
	uid := string(a.Metadata.UID)
	if uid == "" || a.version == 0 {
		return
	}
	versions := o[uid]
	content := a.content
	at, found := slices.BinarySearchFunc(versions, a.version, func(v *version, number uint64) int {
		return int(v.number) - int(number) //nolint:gosec // Versions of a test's cluster are small.
	})
	switch {
	case at == 0:
	case content == "":
		content = versions[at-1].content // A change of scale leaves the rest.
	case a.Kind == partial:
		content = withMetadata(versions[at-1].content, content) // So does one of metadata alone.
	}
	if !found {
		o[uid] = slices.Insert(versions, at, &version{
			number: a.version, name: a.Metadata.Name, content: content, replicas: a.Spec.Replicas,
			deleting: a.Metadata.DeletionTimestamp != nil, deletion: deletionOf(a), finalizers: a.Metadata.Finalizers, entry: entry,
		})
		return
	}
	first := versions[at]
	if entry.RequestReceivedTimestamp.Before(first.entry.StageTimestamp) {
		first.also = append(first.also, userOf(entry).Username)
	}
}

// find returns a version and the one before it, each nil when the log does not show it.
func (o objects) find(uid string, number uint64) (before, found *version) {
	for _, v := range o[uid] {
		if v.number == number {
			return before, v
		}
		if v.number > number {
			break
		}
		before = v
	}
	return before, nil
}

// same says that two versions differ at most in bookkeeping, as far as the log shows both.
func same(before, after *version) bool {
	if before == nil {
		return false
	}
	return before.content != "" && before.content == after.content &&
		(before.replicas == nil) == (after.replicas == nil) &&
		(after.replicas == nil || *before.replicas == *after.replicas)
}

// wasDeleting says that the object's deletion had been asked for by a request answered before this one came.
func (o objects) wasDeleting(uid string, entry *testenv.AuditEntry) bool {
	return slices.ContainsFunc(o[uid], func(v *version) bool {
		return v.deleting && v.entry != entry && v.entry.StageTimestamp.Before(entry.StageTimestamp)
	})
}

// anyDeleting says that a pod of that name was being deleted when the request came.
func (o objects) anyDeleting(entry *testenv.AuditEntry) bool {
	for uid, versions := range o {
		ref := &versions[0].entry.ObjectRef
		if ref.Resource == "pods" && ref.Namespace == entry.ObjectRef.Namespace && versions[0].name == entry.ObjectRef.Name &&
			o.wasDeleting(uid, entry) {
			return true
		}
	}
	return false
}
