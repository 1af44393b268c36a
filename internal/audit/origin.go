package audit

import (
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// Who deletes for somebody else, where kube-controller-manager has a service account for each controller.
const (
	garbageCollector    = "system:serviceaccount:kube-system:generic-garbage-collector"
	namespaceController = "system:serviceaccount:kube-system:namespace-controller"
)

// Origin is where the cause of a change is to be looked for.
type Origin struct {
	// Reason is empty when somebody made the change for no other reason than that they wanted it.
	Reason v1alpha1.CauseReason
	// Subjects name what was changed before, as Change.Subjects does.
	Subjects []string
}

func namespaceSubject(name string) string { return "namespace/" + name }

// Subjects are the names under which later changes look for this one: the object's uid, and the name of a Namespace that
// is deleted.
func (c *Change) Subjects() []string {
	var subjects []string
	if c.resource.UID != "" {
		subjects = append(subjects, c.resource.UID)
	}
	if c.resource.Group == "" && c.resource.Resource == "namespaces" && c.action == v1alpha1.ActionDelete {
		subjects = append(subjects, namespaceSubject(c.resource.Name))
	}
	return subjects
}

// Started says that somebody began something with this change: it does not just keep the control plane's books.
func (c *Change) Started() bool { return c.actor.Type != v1alpha1.ActorControlPlane }

// Origin says where the cause of the change is to be looked for. An object's owner is the cause only of what a
// controller does: the control plane, whatever it does, and another service account when it makes the object.
func (c *Change) Origin() Origin {
	deletes := c.request.Operation == admissionv1.Delete
	switch {
	case c.action == v1alpha1.ActionDelete && c.resource.Subresource == "eviction":
		return Origin{Reason: v1alpha1.CauseEviction}
	case deletes && c.by(namespaceController):
		return Origin{v1alpha1.CauseNamespaceDeletion, []string{namespaceSubject(c.resource.Namespace)}}
	case deletes && c.by(garbageCollector):
		return Origin{v1alpha1.CauseGarbageCollection, c.owners(false)}
	case c.actor.Type == v1alpha1.ActorControlPlane,
		c.actor.Type == v1alpha1.ActorServiceAccount && c.action == v1alpha1.ActionCreate:
		return Origin{v1alpha1.CauseOwnerReference, c.owners(true)}
	default:
		return Origin{}
	}
}

func (c *Change) by(username string) bool { return c.actor.Username == username }

// owners are the uids of the object's owners, or of the one that controls it.
func (c *Change) owners(controlling bool) []string {
	subject := c.before
	if subject == nil {
		subject = c.after
	}
	references, _ := field(subject, "metadata", "ownerReferences").([]any)
	var owners []string
	for _, item := range references {
		reference, ok := item.(object)
		if controls, _ := reference["controller"].(bool); !ok || controlling && !controls {
			continue
		}
		if uid := text(reference, "uid"); uid != "" {
			owners = append(owners, uid)
		}
	}
	return owners
}
