package objects

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
)

// lookTimeout bounds one read or one page of a list.
const lookTimeout = 30 * time.Second

// anyEvent is an AuditEvent that is not there. In one namespace and by name, the API server looks at one place; otherwise at all events.
var anyEvent = &v1alpha1.ResourceReference{
	Group: v1alpha1.GroupVersion.Group, Version: v1alpha1.GroupVersion.Version, Resource: v1alpha1.AuditEventsResource.Resource,
	Namespace: metav1.NamespaceDefault, Name: "none",
}

// server reads the objects that events speak of.
type server struct {
	client rest.Interface
}

// Sight is what one read showed of an object.
type Sight struct {
	Exists bool
	Meta   Meta
	// Body is the whole object but for its managedFields, when it was asked for.
	Body []byte
}

// Read gets an object. A read that need not be consistent comes from the API server's cache, which may lag: what it
// shows was true once, but what it does not show may exist.
func (o *server) Read(ctx context.Context, ref *v1alpha1.ResourceReference, whole, consistent bool) (Sight, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	accept := "application/json"
	if !whole {
		accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	}
	request := o.client.Get().AbsPath(ObjectPath(ref)).SetHeader("Accept", accept)
	if !consistent {
		request = request.Param("resourceVersion", "0")
	}
	result := request.Do(ctx)
	body, err := result.Raw()
	if err != nil {
		err = result.Error() // It says what the API server says, and not only the status code.
	}
	if apierrors.IsNotFound(err) {
		return Sight{}, explainNotFound(err)
	}
	if err != nil {
		return Sight{}, fmt.Errorf("reading %s %s/%s: %w", ref.Resource, ref.Namespace, ref.Name, err)
	}
	seen, err := readSight(body, whole)
	if err != nil {
		return Sight{}, fmt.Errorf("decoding %s %s/%s: %w", ref.Resource, ref.Namespace, ref.Name, err)
	}
	return seen, nil
}

// At shows an object as it was at a revision, or as it is when that is 0, and the revision of which that is true. It fails when
// the API server does not know the revision any more.
func (o *server) At(ctx context.Context, ref *v1alpha1.ResourceReference, revision uint64) (Sight, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	request := o.client.Get().AbsPath(CollectionPath(ref)).SetHeader("Accept", "application/json").
		Param("fieldSelector", fields.OneTermEqualSelector("metadata.name", ref.Name).String())
	if revision > 0 {
		request = atRevision(request, revision)
	}
	body, err := request.DoRaw(ctx)
	if err != nil {
		return Sight{}, 0, fmt.Errorf("reading what %s %s/%s was: %w", ref.Resource, ref.Namespace, ref.Name, err)
	}
	var version string
	var seen Sight
	list := apijson.Scan{Data: body}
	list.Object(func(name []byte) {
		switch string(name) {
		case "metadata":
			list.Object(func(name []byte) {
				if string(name) == "resourceVersion" {
					version = list.Text()
				} else {
					list.Raw()
				}
			})
		case "items":
			list.List(func() {
				if seen, err = readSight(list.Raw(), true); err != nil {
					list.Fail()
				}
			})
		default:
			list.Raw()
		}
	})
	if err = errors.Join(list.Err, err); err != nil {
		return Sight{}, 0, fmt.Errorf("decoding what %s %s/%s was: %w", ref.Resource, ref.Namespace, ref.Name, err)
	}
	shown, err := apijson.ParseVersion(version)
	return seen, shown, err
}

// atRevision has a list show what was there at a revision.
func atRevision(request *rest.Request, revision uint64) *rest.Request {
	return request.Param("resourceVersion", apijson.FormatVersion(revision)).Param("resourceVersionMatch", string(metav1.ResourceVersionMatchExact))
}

// ready asks for one of the operator's own events.
func (o *server) ready(ctx context.Context) error {
	if _, _, err := o.At(ctx, anyEvent, 0); err != nil {
		return fmt.Errorf("asking the API server whether it is ready: %w", err)
	}
	return nil
}

// ErrNoSuchKind says that the API server does not serve the kind, so that nothing is known of its objects.
var ErrNoSuchKind = errors.New("the API server does not serve such objects")

// explainNotFound tells an object that is not there from a kind that is not: the API server names the object.
func explainNotFound(err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Name != "" {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrNoSuchKind, err)
}

// ObjectPath is the object itself, also when a subresource was changed.
func ObjectPath(ref *v1alpha1.ResourceReference) string {
	return CollectionPath(ref) + "/" + ref.Name
}

// CollectionPath is where the objects of the same resource and namespace are listed.
func CollectionPath(ref *v1alpha1.ResourceReference) string {
	path := "/api/" + ref.Version
	if ref.Group != "" {
		path = "/apis/" + ref.Group + "/" + ref.Version
	}
	if ref.Namespace != "" {
		path += "/namespaces/" + ref.Namespace
	}
	return path + "/" + ref.Resource
}
