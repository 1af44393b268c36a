package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
	"github.com/trailkeeper/trailkeeper/test/bench/report"
)

const (
	// deliveryTime bounds the delivery of the backlog.
	deliveryTime = 15 * time.Minute
	// pageSize is how many events are read at once to check them.
	pageSize = 500
)

// delivered measures how fast a backlog is delivered: events that were stored while their trail was suspended. The time
// runs from the end of the suspension until the trail's status says that all of them were delivered.
func delivered(ctx context.Context, rig *Rig, size Size, into *report.Report) error {
	trail, err := rig.suspendedBacklog(ctx, size)
	if err != nil {
		return err
	}
	first, err := rig.firstEventBytes(ctx, trail.Namespace)
	if err != nil {
		return err
	}
	before, err := rig.usage()
	if err != nil {
		return err
	}
	accepted, calls, began := rig.accepted(), rig.cloud.Calls(putAction), time.Now()
	if err := rig.suspend(ctx, trail, false); err != nil {
		return err
	}
	if err := rig.waitForAccepted(ctx, accepted+size.Backlog, deliveryTime); err != nil {
		return err
	}
	arrived := time.Since(began)
	err = rig.waitForTrail(ctx, trail, patience, "to commit its cursor", func() bool {
		return trail.Status.Delivery != nil && trail.Status.Delivery.Sequence >= int64(size.Backlog)
	})
	if err != nil {
		return err
	}
	took := time.Since(began)
	after, err := rig.usage()
	if err != nil {
		return err
	}
	calls = rig.cloud.Calls(putAction) - calls
	doubted, err := rig.countDoubted(ctx, trail.Namespace)
	if err != nil {
		return err
	}
	if rejected := trail.Status.Delivery.Rejected; rejected > 0 {
		return fmt.Errorf("%d of %d events were rejected", rejected, size.Backlog)
	}
	reportDelivery(into, size.Backlog, took, before, after)
	under := fmt.Sprintf("%d events of %d bytes", size.Backlog, first)
	row := remark("delivery, arrived", under, fmt.Sprintf("after %.1f s in %d calls, %d events not seen to be persisted",
		arrived.Seconds(), calls, doubted))
	row.PerSecond = float64(size.Backlog) / arrived.Seconds()
	into.AddRow(row)
	row = remark("delivery, committed", under, fmt.Sprintf("after %.1f s, CPU %.1f s, peak RSS %.0f MB",
		took.Seconds(), (after.CPU-before.CPU).Seconds(), megabytes(after.PeakRSS)))
	row.PerSecond = float64(size.Backlog) / took.Seconds()
	into.AddRow(row)
	return nil
}

func reportDelivery(into *report.Report, events int, took time.Duration, before, after testenv.Usage) {
	into.Add("delivery.events_per_s", float64(events)/took.Seconds(), "events/s", report.AtLeast(5000))
	into.Add("delivery.cpu_s_per_million", (after.CPU-before.CPU).Seconds()/float64(events)*1e6, "s", report.Target{})
}

// suspendedBacklog makes a trail, suspends it, and stores its events.
func (r *Rig) suspendedBacklog(ctx context.Context, size Size) (*v1alpha1.AuditTrail, error) {
	trail, err := r.trail(ctx, backlogNamespace)
	if err != nil {
		return nil, err
	}
	if err := r.suspend(ctx, trail, true); err != nil {
		return nil, err
	}
	err = r.waitForTrail(ctx, trail, patience, "to be suspended", func() bool {
		return trail.Status.ObservedGeneration == trail.Generation
	})
	if err != nil {
		return nil, err
	}
	r.say("Storing %d events", size.Backlog)
	began := time.Now()
	backlog, err := r.newBacklog(ctx, trail, size.Objects, size.Backlog)
	if err != nil {
		return nil, err
	}
	if err := backlog.store(ctx); err != nil {
		return nil, err
	}
	r.say("Stored %d events in %.0f s", size.Backlog, time.Since(began).Seconds())
	return trail, nil
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
