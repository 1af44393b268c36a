package audit

import (
	"fmt"

	"github.com/wI2L/jsondiff"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// object is a decoded Kubernetes object; its numbers are json.Number, so that none loses precision.
type object = map[string]any

// Change is one admission request, decoded and redacted once for all trails that want it.
type Change struct {
	request  *admissionv1.AdmissionRequest
	digester Digester

	// before and after are the objects without bookkeeping, redacted as every trail needs it; nil when absent.
	before, after object
	// evicted is the pod that an eviction is for; nil when it is not known.
	evicted object
	// redacted are the paths that were replaced in before or after.
	redacted []string

	// difference turns before into after.
	difference jsondiff.Patch

	id       string
	note     string
	evidence []v1alpha1.Evidence
	action   v1alpha1.Action
	resource v1alpha1.ResourceReference
	actor    v1alpha1.Actor
	info     v1alpha1.RequestInfo
	// marksForDeletion is true for the deletion of an object that finalizers keep.
	marksForDeletion bool
	// alreadyDeleting is true when the object had a deletionTimestamp before the request.
	alreadyDeleting bool
}

// NewChange decodes the objects of an admission request by an actor of the given class. The old object of an eviction,
// which the API server does not send, is the pod. It fails when one of the objects is not a JSON object.
func NewChange(request *admissionv1.AdmissionRequest, class v1alpha1.ActorType, digester Digester) (*Change, error) {
	before, err := decode(request.OldObject.Raw)
	if err != nil {
		return nil, fmt.Errorf("decoding oldObject: %w", err)
	}
	after, err := decode(request.Object.Raw)
	if err != nil {
		return nil, fmt.Errorf("decoding object: %w", err)
	}

	c := &Change{request: request, digester: digester, before: before, after: after}
	if IsEviction(request) {
		c.before, c.evicted = nil, before
		before = nil
	}
	c.classify()
	c.note = note(before, after)
	c.actor = actorOf(&request.UserInfo, class)
	c.info = requestInfo(request)

	strip(before)
	strip(after)
	c.id = c.identify()
	c.evidence = collectEvidence(digester, before, after)
	if len(c.evidence) == 0 && request.Operation == admissionv1.Update && c.action == v1alpha1.ActionDelete {
		c.evidence = nothingKeeps(digester, after)
	}
	if isBinding(request) {
		c.evidence = bindsTo(digester, after)
	}
	c.redactBuiltin()
	c.difference = diff(c.before, c.after)
	return c, nil
}

// Noise says that the request changes nothing that is worth a record: an update without a difference that does not end a
// deletion, the deletion of
// what only its finalizers keep from being gone, the eviction of a pod that is being deleted and that something still keeps, or the
// kubelet's deletion of a pod whose deletion somebody has already asked for.
func (c *Change) Noise() bool {
	switch c.request.Operation {
	case admissionv1.Update:
		return c.action != v1alpha1.ActionDelete && len(c.difference) == 0
	case admissionv1.Delete:
		return c.alreadyDeleting && (c.actor.Type == v1alpha1.ActorNode || c.keptByFinalizers(c.before) && !inGrace(c.before) && !c.changesPropagation())
	case admissionv1.Create:
		return c.evicted != nil && c.alreadyDeleting && (inGrace(c.evicted) || c.keptByFinalizers(c.evicted))
	default:
		return false
	}
}

// strip removes the API server's bookkeeping, which changes with every write and says nothing about it.
func strip(o object) {
	metadata, ok := o["metadata"].(object)
	if !ok {
		return
	}
	for _, field := range []string{"managedFields", "resourceVersion", "generation"} {
		delete(metadata, field)
	}
}

// field walks down nested objects; nil when the path ends early.
func field(o object, path ...string) any {
	var value any = o
	for _, name := range path {
		inner, ok := value.(object)
		if !ok {
			return nil
		}
		value = inner[name]
	}
	return value
}

func text(o object, path ...string) string {
	s, _ := field(o, path...).(string)
	return s
}
