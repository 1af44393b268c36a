package query

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/jsonclient"
)

// maxListBytes bounds a list: how many events it may have follows from how large the last ones were, and the next may be larger.
const maxListBytes = 16 << 20

// errTooLarge says that a list has more than maxListBytes. One of leastPage events never has, as audit.Limit bounds them.
var errTooLarge = errors.New("the list is too large to be held in memory")

// reader lists AuditEvents for half the processor time that the general client takes, and decodes them while the API server still
// encodes further ones.
type reader struct {
	client.Client
	events rest.Interface
}

// NewReader has a client list AuditEvents faster, with the same rights; config is that of the client.
func NewReader(config *rest.Config, general client.Client) (client.Client, error) {
	events, err := jsonclient.New(config)
	if err != nil {
		return nil, err
	}
	return &reader{Client: general, events: events}, nil
}

// List implements client.Reader. It fails with errTooLarge when a smaller page must be asked for.
func (r *reader) List(ctx context.Context, into client.ObjectList, options ...client.ListOption) error {
	list, ok := into.(*v1alpha1.AuditEventList)
	if !ok {
		return r.Client.List(ctx, into, options...)
	}
	asked := (&client.ListOptions{}).ApplyOptions(options)
	stream, err := r.events.Get().
		AbsPath("/apis", v1alpha1.GroupVersion.String()).
		NamespaceIfScoped(asked.Namespace, asked.Namespace != "").
		Resource(v1alpha1.AuditEventsResource.Resource).
		SpecificallyVersionedParams(asked.AsListOptions(), metav1.ParameterCodec, schema.GroupVersion{Version: "v1"}).
		SetHeader("Accept", "application/json").
		Stream(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	bounded := &io.LimitedReader{R: stream, N: maxListBytes}
	if err := json.UnmarshalRead(bounded, list); err != nil {
		if bounded.N <= 0 {
			return errTooLarge
		}
		return fmt.Errorf("decoding a list of AuditEvents: %w", err)
	}
	for i := range list.Items {
		list.Items[i].ManagedFields = nil // A third of an event, and of no use to any reader.
	}
	return nil
}
