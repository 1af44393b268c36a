package rules

import (
	"k8s.io/apimachinery/pkg/labels"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// Request is what matching needs to know of an AdmissionRequest. None of it needs the object to be decoded.
type Request struct {
	// Operation is the AdmissionRequest's own word: CREATE, UPDATE, DELETE or CONNECT.
	Operation string
	// Group, Version, Resource and Subresource are what the caller asked for (requestResource and requestSubResource):
	// the API server filters by these before it converts anything. Version takes no part in matching.
	Group, Version, Resource, Subresource string
	// Kind is the object's kind as it arrives, which is what the API server's conditions compare too.
	Kind string
	// FieldManager is what the client says of itself; empty when it says nothing. It is needed only when
	// Set.ComparesFieldManagers.
	FieldManager string
	// Namespace is the object's namespace; empty for cluster-scoped objects, and for Namespaces themselves, although
	// the AdmissionRequest gives those their own name.
	Namespace string
	// Name is the object's name. When the AdmissionRequest has none (generateName, deletecollection) it comes from
	// the object.
	Name string
	// Username and Groups are the caller's, as authenticated or impersonated.
	Username string
	Groups   []string
	// ActorType is ActorType(Username, Groups).
	ActorType v1alpha1.ActorType
}

// isNamespaceObject reports whether the request is for a Namespace or a subresource of one.
func (r *Request) isNamespaceObject() bool {
	return r.Resource == "namespaces" && r.Group == ""
}

// NamespaceLabels returns a namespace's labels, and false when the namespace is not known. It is called on the
// admission path, so it must answer from memory.
type NamespaceLabels func(name string) (labels.Set, bool)

// operations is a set of operations.
type operations uint8

const (
	opCreate operations = 1 << iota
	opUpdate
	opDelete
	opConnect

	opAll = opCreate | opUpdate | opDelete | opConnect
)

// operationOf is the set with an AdmissionRequest's operation, empty for a word it does not know.
func operationOf(word string) operations {
	switch word {
	case "CREATE":
		return opCreate
	case "UPDATE":
		return opUpdate
	case "DELETE":
		return opDelete
	case "CONNECT":
		return opConnect
	default:
		return 0
	}
}

// compileOperations is the set of the listed operations, all when none is listed.
func compileOperations(list []v1alpha1.Operation) operations {
	if len(list) == 0 {
		return opAll
	}
	var set operations
	for _, operation := range list {
		switch operation {
		case v1alpha1.OperationCreate:
			set |= opCreate
		case v1alpha1.OperationUpdate:
			set |= opUpdate
		case v1alpha1.OperationDelete:
			set |= opDelete
		case v1alpha1.OperationConnect:
			set |= opConnect
		}
	}
	return set
}

// words are the AdmissionRequest's words for the set, in a fixed order.
func (o operations) words() []string {
	var words []string
	for _, word := range []string{"CREATE", "UPDATE", "DELETE", "CONNECT"} {
		if o&operationOf(word) != 0 {
			words = append(words, word)
		}
	}
	return words
}
