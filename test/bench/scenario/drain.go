package scenario

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
	"github.com/trailkeeper/trailkeeper/test/bench/report"
)

// deliveryTime bounds the delivery of a backlog.
const deliveryTime = 15 * time.Minute

// drain is the delivery of one backlog by a manager that has just started, so that its memory tells of nothing else.
type drain struct {
	trail  *v1alpha1.AuditTrail
	events int
	// arrived is when the last event was at the destination, and committed when the trail's status said so.
	arrived, committed time.Duration
	before, after      testenv.Usage
	// calls were made, with so many bytes of log events.
	calls int
	bytes int64
}

// drain stores events of a trail that is suspended, and then has them delivered.
func (r *Rig) drain(ctx context.Context, objects, events int) (*drain, error) {
	trail, err := r.suspendedBacklog(ctx, backlogNamespace, objects, events, 0)
	if err != nil {
		return nil, err
	}
	if err := r.restartDelivery(ctx); err != nil {
		return nil, err
	}
	return r.delivery(ctx, trail, events, func() error { return r.suspend(ctx, trail, false) })
}

// delivery measures the delivery of a trail's events that wait, from when it may begin.
func (r *Rig) delivery(ctx context.Context, trail *v1alpha1.AuditTrail, events int, start func() error) (*drain, error) {
	d := &drain{trail: trail, events: events}
	var err error
	if d.before, err = r.usage(); err != nil {
		return nil, err
	}
	var sequence int64
	if status := trail.Status.Delivery; status != nil {
		sequence = status.Sequence
	}
	r.arrivals.begin()
	began := time.Now()
	if err := start(); err != nil {
		return nil, err
	}
	if err := r.waitForArrivals(ctx, events, deliveryTime); err != nil {
		return nil, err
	}
	d.arrived = time.Since(began)
	err = r.waitForTrail(ctx, trail, patience, "to commit its cursor", func() bool {
		return trail.Status.Delivery != nil && trail.Status.Delivery.Sequence >= sequence+int64(events)
	})
	if err != nil {
		return nil, err
	}
	d.committed = time.Since(began)
	if d.after, err = r.usage(); err != nil {
		return nil, err
	}
	d.calls, d.bytes = r.arrivals.end().calls()
	if rejected := trail.Status.Delivery.Rejected; rejected > 0 {
		return nil, fmt.Errorf("%d of %d events were rejected", rejected, events)
	}
	return d, nil
}

// restartDelivery starts the operator over, and waits until it delivers again.
func (r *Rig) restartDelivery(ctx context.Context) error {
	if err := r.restartManager(ctx); err != nil {
		return err
	}
	return r.waitForShards(ctx)
}

// waitForShards waits until the manager delivers trails and leads.
func (r *Rig) waitForShards(ctx context.Context) error {
	err := wait.PollUntilContextTimeout(ctx, poll, patience, true, func(ctx context.Context) (bool, error) {
		shards, err := r.manager.Metric(ctx, "trailkeeper_delivery_shards")
		if err != nil || shards == 0 {
			return false, nil //nolint:nilerr // It is asked again.
		}
		leads, err := r.manager.Metric(ctx, `leader_election_master_status{name="trailkeeper-leader"}`)
		return err == nil && leads == 1, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the manager to deliver: %w; its log is %s", err, r.manager.LogPath())
	}
	return nil
}

// fewest is how many calls the limits ask for.
func (d *drain) fewest() int { return int(math.Ceil(float64(d.bytes) / cloudwatch.MaxBatchBytes)) }

func (d *drain) cpu() time.Duration { return d.after.CPU - d.before.CPU }

func (d *drain) report(into *report.Report) {
	into.Add("delivery.events_per_s", float64(d.events)/d.committed.Seconds(), "events/s", report.AtLeast(5000))
	into.Add("delivery.cpu_s_per_million", d.cpu().Seconds()/float64(d.events)*1e6, "s", report.Target{})
	into.Add("delivery.rss_mb", megabytes(d.after.PeakRSS), "MB", report.AtMost(64))
	into.Add("delivery.calls_ratio.1_trails", float64(d.calls)/float64(d.fewest()), "of the fewest that the limits allow", report.AtMost(1.05))
}

func (d *drain) row(what string) report.Row {
	row := remark(what, fmt.Sprintf("%d events", d.events), d.String())
	row.PerSecond = float64(d.events) / d.committed.Seconds()
	return row
}

func (d *drain) String() string {
	return fmt.Sprintf("after %.1f s in %d calls, CPU %.1f s, peak RSS %.0f MB",
		d.committed.Seconds(), d.calls, d.cpu().Seconds(), megabytes(d.after.PeakRSS))
}

// suspended makes a namespace's trail, if there is none yet, and suspends it.
func (r *Rig) suspended(ctx context.Context, namespace string) (*v1alpha1.AuditTrail, error) {
	trail, err := r.trail(ctx, namespace)
	if err != nil {
		return nil, err
	}
	if err := r.suspend(ctx, trail, true); err != nil {
		return nil, err
	}
	return trail, r.waitForTrail(ctx, trail, patience, "to be suspended", func() bool {
		return trail.Status.ObservedGeneration == trail.Generation
	})
}

// suspendedBacklog makes a trail, suspends it, and stores events of it, as if they had been recorded apart from each other until now;
// 0 takes the time at which they are stored.
func (r *Rig) suspendedBacklog(ctx context.Context, namespace string, objects, events int, apart time.Duration) (*v1alpha1.AuditTrail, error) {
	trail, err := r.suspended(ctx, namespace)
	if err != nil {
		return nil, err
	}
	r.drains++
	r.say("Storing %d events", events)
	began := time.Now()
	backlog, err := r.newNamedBacklog(ctx, fmt.Sprintf("%s-%d", trail.Namespace, r.drains), trail, objects, events)
	if err != nil {
		return nil, err
	}
	backlog.apart = apart
	if err := backlog.store(ctx); err != nil {
		return nil, err
	}
	r.say("Stored %d events in %.0f s", events, time.Since(began).Seconds())
	return trail, r.waitForCache(ctx, namespace)
}

// waitForCache waits until the API server has read into its own cache what was stored beside it: until then every list waits for
// that, as it never does for what the API server itself stored.
func (r *Rig) waitForCache(ctx context.Context, namespace string) error {
	stored, err := r.listedAt(ctx, namespace, "")
	if err != nil {
		return err
	}
	err = wait.PollUntilContextTimeout(ctx, poll, patience, true, func(ctx context.Context) (bool, error) {
		cached, err := r.listedAt(ctx, namespace, "0")
		return cached >= stored, err
	})
	if err != nil {
		return fmt.Errorf("waiting for the API server's cache: %w", err)
	}
	return nil
}

// listedAt is the resourceVersion of a list of AuditEvents that is no older than another resourceVersion: "0" is whatever the
// API server has in its cache, "" what etcd has.
func (r *Rig) listedAt(ctx context.Context, namespace, notOlderThan string) (uint64, error) {
	list := metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("AuditEventList"))
	options := &client.ListOptions{Namespace: namespace, Limit: 1, Raw: &metav1.ListOptions{ResourceVersion: notOlderThan}}
	if err := r.admin.List(ctx, &list, options); err != nil {
		return 0, fmt.Errorf("listing AuditEvents: %w", err)
	}
	return strconv.ParseUint(list.ResourceVersion, 10, 64)
}
