package query

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// Oldest is the time of the oldest event that a trail of the namespace has in the cluster; the present when it has none.
//
// A list that begins at the beginning costs the API server a look at each event there is. So the event that was the oldest before is
// looked for by its name, and as long as it is there, it still is: what is recorded later has a later name, but for what waited in a
// replica's local file, and then a reader looks further back than it must.
func (c *Cluster) Oldest(ctx context.Context, trail *v1alpha1.AuditTrail) (time.Time, error) {
	uid := string(trail.UID)
	if name, known := c.Memory.oldestName(uid); known {
		event, ok, err := c.first(ctx, fields.Set{v1alpha1.FieldTrail: trail.Name, "metadata.name": name})
		if err != nil || ok {
			return event.Spec.Time.Time, err
		}
	}
	event, ok, err := c.first(ctx, fields.Set{v1alpha1.FieldTrail: trail.Name})
	if err != nil {
		return time.Time{}, err
	}
	if !ok {
		return time.Now(), nil
	}
	c.Memory.keepOldestName(uid, event.Name)
	return event.Spec.Time.Time, nil
}

// first is the first of the namespace's events that have some fields.
func (c *Cluster) first(ctx context.Context, wanted fields.Set) (event v1alpha1.AuditEvent, ok bool, err error) {
	var list v1alpha1.AuditEventList
	err = withTimeout(ctx, func(ctx context.Context) error {
		return c.Reader.List(ctx, &list, client.InNamespace(c.Namespace), client.Limit(1), client.MatchingFieldsSelector{Selector: wanted.AsSelector()})
	})
	if err != nil {
		return event, false, fmt.Errorf("looking for the oldest of AuditEvents %s in namespace %s: %w", wanted, c.Namespace, err)
	}
	if len(list.Items) == 0 {
		return event, false, nil
	}
	return list.Items[0], true, nil
}
