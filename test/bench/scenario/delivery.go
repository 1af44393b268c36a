package scenario

import (
	"context"
	"encoding/json"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/test/bench/report"
)

// pageSize is how many events are read at once to check them.
const pageSize = 500

// delivered measures how fast a backlog is delivered: events that were stored while their trail was suspended. The time
// runs from the end of the suspension until the trail's status says that all of them were delivered.
func delivered(ctx context.Context, rig *Rig, size Size, into *report.Report) error {
	drain, err := rig.drain(ctx, size.Objects, size.Backlog)
	if err != nil {
		return err
	}
	first, err := rig.firstEventBytes(ctx, drain.trail.Namespace)
	if err != nil {
		return err
	}
	doubted, err := rig.countDoubted(ctx, drain.trail.Namespace)
	if err != nil {
		return err
	}
	drain.report(into)
	under := fmt.Sprintf("%d events of %d bytes", size.Backlog, first)
	row := remark("delivery, arrived", under, fmt.Sprintf("after %.1f s, %d events not seen to be persisted", drain.arrived.Seconds(), doubted))
	row.PerSecond = float64(size.Backlog) / drain.arrived.Seconds()
	into.AddRow(row)
	row = remark("delivery, committed", under, drain.String())
	row.PerSecond = float64(size.Backlog) / drain.committed.Seconds()
	into.AddRow(row)
	return nil
}

// firstEventBytes is the size of one event as the API server stores it.
func (r *Rig) firstEventBytes(ctx context.Context, namespace string) (int, error) {
	var list v1alpha1.AuditEventList
	if err := r.admin.List(ctx, &list, client.InNamespace(namespace), client.Limit(1)); err != nil {
		return 0, fmt.Errorf("reading an AuditEvent: %w", err)
	}
	if len(list.Items) == 0 {
		return 0, fmt.Errorf("no AuditEvent is in the namespace %s", namespace)
	}
	event := &list.Items[0]
	event.APIVersion, event.Kind = v1alpha1.GroupVersion.String(), "AuditEvent"
	encoded, err := json.Marshal(event)
	return len(encoded), err
}

// countDoubted is how many events were not seen to be persisted, although all of them were.
func (r *Rig) countDoubted(ctx context.Context, namespace string) (int, error) {
	doubted := 0
	for token := ""; ; {
		var list v1alpha1.AuditEventList
		err := r.admin.List(ctx, &list, client.InNamespace(namespace), client.Limit(pageSize), client.Continue(token))
		if err != nil {
			return 0, fmt.Errorf("reading the outcomes of AuditEvents: %w", err)
		}
		for i := range list.Items {
			if list.Items[i].Status.Outcome != "" {
				doubted++
			}
		}
		if token = list.Continue; token == "" {
			return doubted, nil
		}
	}
}
