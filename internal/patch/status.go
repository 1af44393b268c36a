package patch

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// Field owners of an AuditTrail's status.
const (
	// TrailOwner is the trail controller.
	TrailOwner client.FieldOwner = "trailkeeper-trail"
	// DeliveryOwner is delivery.
	DeliveryOwner client.FieldOwner = "trailkeeper-delivery"
)

// Status applies status as the whole of what owner has to say about the trail. Fields of status that are empty are
// not sent: another owner's stay, the owner's own are removed.
//
// The trail's uid goes along, so that a trail that was deleted and made again under the same name is refused
// (Conflict) rather than given the status of the old one.
func Status(ctx context.Context, c client.Client, owner client.FieldOwner, trail *v1alpha1.AuditTrail, status v1alpha1.AuditTrailStatus) error {
	return apply(ctx, c, owner, trail, "", status)
}

// StatusAt is Status, and is refused (Conflict) when anybody has written the trail since it was read.
func StatusAt(ctx context.Context, c client.Client, owner client.FieldOwner, trail *v1alpha1.AuditTrail, status v1alpha1.AuditTrailStatus) error {
	return apply(ctx, c, owner, trail, trail.ResourceVersion, status)
}

func apply(
	ctx context.Context, c client.Client, owner client.FieldOwner, trail *v1alpha1.AuditTrail, resourceVersion string,
	status v1alpha1.AuditTrailStatus,
) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&status)
	if err != nil {
		return fmt.Errorf("encoding the status of trail %s: %w", client.ObjectKeyFromObject(trail), err)
	}
	u := &unstructured.Unstructured{Object: map[string]any{"status": content}}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("AuditTrail"))
	u.SetNamespace(trail.Namespace)
	u.SetName(trail.Name)
	u.SetUID(trail.UID)
	u.SetResourceVersion(resourceVersion)
	if err := c.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), owner, client.ForceOwnership); err != nil {
		return fmt.Errorf("applying the status of trail %s: %w", client.ObjectKeyFromObject(trail), err)
	}
	return nil
}
