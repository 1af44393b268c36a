package testenv

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// ProbePrefix begins the names of the ConfigMaps that Probe makes.
const ProbePrefix = "probe-"

// WaitReady waits until a trail is Ready, and leaves it as it is then.
func WaitReady(ctx context.Context, c client.Client, trail *v1alpha1.AuditTrail, longest time.Duration) error {
	key := client.ObjectKeyFromObject(trail)
	err := wait.PollUntilContextTimeout(ctx, readyInterval, longest, true, func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, key, trail)
		return err == nil && meta.IsStatusConditionTrue(trail.Status.Conditions, v1alpha1.ReadyCondition), nil
	})
	if err != nil {
		return fmt.Errorf("waiting for AuditTrail %s to be ready: %w; its status: %+v", key, err, trail.Status)
	}
	return nil
}

// Probe makes a ConfigMap, and says whether the trail has recorded that: the API server acts on the webhook configuration some
// time after it was written.
func Probe(ctx context.Context, c client.Client, trail *v1alpha1.AuditTrail, namespace string) (recorded bool, err error) {
	made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: ProbePrefix}}
	if err := c.Create(ctx, made); err != nil {
		return false, fmt.Errorf("making a change: %w", err)
	}
	var events v1alpha1.AuditEventList
	if err := c.List(ctx, &events, client.InNamespace(trail.Namespace)); err != nil {
		return false, fmt.Errorf("listing events: %w", err)
	}
	for i := range events.Items {
		spec := &events.Items[i].Spec
		if spec.TrailRef.UID == string(trail.UID) && spec.Resource.UID == string(made.UID) {
			return true, nil
		}
	}
	return false, nil
}
