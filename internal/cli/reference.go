package cli

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// places are where an object of this name may be: where the name says it (NAMESPACE/NAME), else in the namespace in use,
// and then in the operator's, where trails that see the whole cluster and their events are.
func (s *session) places(name string) ([]client.ObjectKey, error) {
	if namespace, rest, ok := strings.Cut(name, "/"); ok {
		return []client.ObjectKey{{Namespace: namespace, Name: rest}}, nil
	}
	namespace, err := s.namespace()
	if err != nil {
		return nil, err
	}
	keys := []client.ObjectKey{{Namespace: namespace, Name: name}}
	if namespace != s.operatorNamespace && !s.namespaceGiven() {
		keys = append(keys, client.ObjectKey{Namespace: s.operatorNamespace, Name: name})
	}
	return keys, nil
}

// namespaceGiven says that the namespace was named and does not come from the kubeconfig.
func (s *session) namespaceGiven() bool { return *s.kubeconfig.Namespace != "" }

// find reads an object that a user names. kind is what to call it.
func (s *session) find(ctx context.Context, c client.Reader, kind, name string, object client.Object) error {
	keys, err := s.places(name)
	if err != nil {
		return err
	}
	var first error
	for _, key := range keys {
		err := c.Get(ctx, key, object)
		if err == nil {
			return nil
		}
		if first == nil {
			first = refused(fmt.Errorf("reading %s %s: %w", kind, key, err), viewerRole, key.Namespace)
		}
		if !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
			return first
		}
	}
	if apierrors.IsNotFound(first) {
		return &advisedError{first, "give it as NAMESPACE/NAME, or its namespace with -n"}
	}
	return first
}

func (s *session) findTrail(ctx context.Context, c client.Reader, name string) (*v1alpha1.AuditTrail, error) {
	trail := &v1alpha1.AuditTrail{}
	return trail, s.find(ctx, c, "AuditTrail", name, trail)
}
