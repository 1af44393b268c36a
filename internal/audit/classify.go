package audit

import (
	"encoding/json"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// classify says what was done to which object.
func (c *Change) classify() {
	r := c.request
	was := c.before
	if c.evicted != nil {
		was = c.evicted
	}
	subject := c.after
	if was != nil && (subject == nil || r.Operation == admissionv1.Delete || c.evicted != nil) {
		subject = was
	}
	c.resource = v1alpha1.ResourceReference{
		Group:           r.Resource.Group,
		Version:         r.Resource.Version,
		Resource:        r.Resource.Resource,
		Subresource:     r.SubResource,
		Kind:            r.Kind.Kind,
		Namespace:       Namespace(r),
		Name:            nameOf(r, subject),
		UID:             text(subject, "metadata", "uid"),
		ResourceVersion: text(was, "metadata", "resourceVersion"),
	}
	c.resource.DeletionTime = timeOf(text(was, "metadata", "deletionTimestamp"))
	c.alreadyDeleting = c.resource.DeletionTime != nil
	c.action = c.actionOf()
}

func (c *Change) actionOf() v1alpha1.Action {
	switch c.request.Operation {
	case admissionv1.Create:
		if IsEviction(c.request) {
			// The deletion that follows an eviction never reaches admission.
			return v1alpha1.ActionDelete
		}
		return v1alpha1.ActionCreate
	case admissionv1.Delete:
		c.marksForDeletion = c.keptByFinalizers(c.before) && !c.alreadyDeleting
		return v1alpha1.ActionDelete
	case admissionv1.Update:
		if c.alreadyDeleting && !c.keptByFinalizers(c.after) && !inGrace(c.before) {
			// The object is gone after this update, and no DELETE follows.
			return v1alpha1.ActionDelete
		}
		return v1alpha1.ActionUpdate
	default:
		return v1alpha1.ActionConnect
	}
}

// Namespace is the namespace of the object of a request. The API server sends a Namespace's own name as the
// namespace of requests for it; a Namespace has none.
func Namespace(r *admissionv1.AdmissionRequest) string {
	if r.Resource.Group == "" && r.Resource.Resource == "namespaces" {
		return ""
	}
	return r.Namespace
}

// nameOf is the object's name: empty in the request for deletecollection, and for generated names in some versions.
func nameOf(r *admissionv1.AdmissionRequest, subject object) string {
	if r.Name != "" {
		return r.Name
	}
	if name := text(subject, "metadata", "name"); name != "" {
		return name
	}
	return text(subject, "metadata", "generateName") + "?"
}

// timeOf reads a time as the API server writes it; nil when there is none.
func timeOf(value string) *metav1.Time {
	parsed, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return nil
	}
	return &metav1.Time{Time: parsed}
}

// keptByFinalizers says that deleting the object only marks it. A Namespace has finalizers of its own in its spec.
func (c *Change) keptByFinalizers(o object) bool {
	finalizers, _ := field(o, "metadata", "finalizers").([]any)
	if c.request.Resource.Group == "" && c.request.Resource.Resource == "namespaces" {
		own, _ := field(o, "spec", "finalizers").([]any)
		finalizers = append(finalizers, own...)
	}
	return len(finalizers) > 0
}

// inGrace says that the object is being deleted and has time left to end by itself, which is longer than its finalizers
// keep it.
func inGrace(o object) bool {
	seconds, ok := field(o, "metadata", "deletionGracePeriodSeconds").(json.Number)
	return ok && seconds != "0"
}

// IsEviction says that the request asks for a pod's deletion by a name that its object is not of.
func IsEviction(r *admissionv1.AdmissionRequest) bool {
	return r.Operation == admissionv1.Create && r.Resource.Resource == "pods" && r.SubResource == "eviction"
}

// isBinding says that the request puts a pod on a node.
func isBinding(r *admissionv1.AdmissionRequest) bool {
	return r.Operation == admissionv1.Create && r.Resource.Group == "" && r.Resource.Resource == "pods" && r.SubResource == "binding"
}

// NoPod stands for the pod of an eviction where there was none. Its version, which no object has, tells that apart from a pod that
// is not known.
func NoPod() []byte {
	return []byte(`{"metadata":{"resourceVersion":"` + v1alpha1.NoVersion + `"}}`)
}

func actorOf(user *authenticationv1.UserInfo, class v1alpha1.ActorType) v1alpha1.Actor {
	actor := v1alpha1.Actor{
		Type:     class,
		Username: user.Username,
		UID:      user.UID,
		Groups:   user.Groups,
	}
	if len(user.Extra) > 0 {
		actor.Extra = make(map[string]v1alpha1.ExtraValue, len(user.Extra))
		for key, values := range user.Extra {
			actor.Extra[key] = v1alpha1.ExtraValue(values)
		}
	}
	return actor
}

func requestInfo(r *admissionv1.AdmissionRequest) v1alpha1.RequestInfo {
	asked := deletionOf(r)
	info := v1alpha1.RequestInfo{
		UID: string(r.UID), FieldManager: FieldManager(r), PropagationPolicy: asked.policy, GracePeriodSeconds: asked.grace,
	}
	if r.RequestKind != nil && *r.RequestKind != r.Kind {
		info.RequestKind = kindString(*r.RequestKind)
	}
	if r.RequestResource != nil && *r.RequestResource != r.Resource {
		info.RequestResource = resourceString(*r.RequestResource)
	}
	return info
}

// FieldManager is what the client says of itself; empty when it says nothing.
func FieldManager(r *admissionv1.AdmissionRequest) string {
	// Options that cannot be read lose a hint, not the record.
	manager, _ := lookUp(r.Options.Raw, "/fieldManager")
	name, _ := manager.(string)
	return name
}

func kindString(k metav1.GroupVersionKind) string {
	if k.Group == "" {
		return k.Version + "." + k.Kind
	}
	return k.Group + "/" + k.Version + "." + k.Kind
}

func resourceString(r metav1.GroupVersionResource) string {
	return strings.TrimSuffix(r.Resource+"."+r.Version+"."+r.Group, ".")
}

// DryRun says whether nothing will be stored: as the request says, or as an eviction's own delete options do.
func DryRun(r *admissionv1.AdmissionRequest) bool {
	if r.DryRun != nil && *r.DryRun {
		return true
	}
	return r.SubResource == "eviction" && len(evictionOptions(r).DryRun) > 0
}
