package presence

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// callTimeout bounds one call of the API server; the next sign of life follows soon.
const callTimeout = 5 * time.Second

// Lease is the one Lease that all replicas share. RBAC can limit rights to a name, not to the beginning of one, so a
// Lease for each replica would need rights on all Leases of the namespace.
type Lease struct {
	Client    client.Client
	Namespace string
	Name      string
}

// Patch changes annotations, removing those that are nil, and returns the Lease as it is then. With a resourceVersion
// it fails with a conflict unless the Lease still has that one.
func (l *Lease) Patch(ctx context.Context, annotations map[string]*string, resourceVersion string) (*metav1.ObjectMeta, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	patched, err := l.patch(ctx, annotations, resourceVersion)
	if !apierrors.IsNotFound(err) {
		return patched, err
	}
	created, err := l.create(ctx, annotations)
	if apierrors.IsAlreadyExists(err) {
		return l.patch(ctx, annotations, resourceVersion)
	}
	return created, err
}

func (l *Lease) patch(ctx context.Context, annotations map[string]*string, resourceVersion string) (*metav1.ObjectMeta, error) {
	metadata := map[string]any{"annotations": annotations}
	if resourceVersion != "" {
		metadata["resourceVersion"] = resourceVersion
	}
	body, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return nil, fmt.Errorf("encoding a patch: %w", err)
	}
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: l.Name}}
	if err := l.Client.Patch(ctx, lease, client.RawPatch(types.MergePatchType, body)); err != nil {
		return nil, fmt.Errorf("patching Lease %s: %w", l.Name, err)
	}
	return &lease.ObjectMeta, nil
}

func (l *Lease) create(ctx context.Context, annotations map[string]*string) (*metav1.ObjectMeta, error) {
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Namespace: l.Namespace, Name: l.Name, Annotations: map[string]string{},
	}}
	for key, value := range annotations {
		if value != nil {
			lease.Annotations[key] = *value
		}
	}
	if err := l.Client.Create(ctx, lease); err != nil {
		return nil, fmt.Errorf("creating Lease %s: %w", l.Name, err)
	}
	return &lease.ObjectMeta, nil
}
