package scenario

import (
	"context"
	"fmt"
	"math"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/test/bench/report"
)

// stored measures the manager's memory once so many events are stored, all of which it has delivered.
func stored(ctx context.Context, rig *Rig, size Size, into *report.Report) error {
	trail, err := rig.trail(ctx, recorderNamespace)
	if err != nil {
		return err
	}
	count, err := rig.countEvents(ctx, trail.Namespace)
	if err != nil {
		return err
	}
	if missing := size.Stored - count; missing > 0 {
		before := rig.accepted()
		backlog, err := rig.newBacklog(ctx, trail, size.Objects, missing)
		if err != nil {
			return err
		}
		if err := backlog.store(ctx); err != nil {
			return err
		}
		if err := rig.waitForAccepted(ctx, before+missing, patience); err != nil {
			return err
		}
		count += missing
	}
	used, err := rig.usage()
	if err != nil {
		return err
	}
	into.Add("manager.rss_mb", megabytes(used.PeakRSS), "MB", report.AtMost(100))
	into.AddRow(remark("manager", fmt.Sprintf("%d events stored", count),
		fmt.Sprintf("peak RSS %.0f MB, now %.0f MB", megabytes(used.PeakRSS), megabytes(used.RSS))))
	return nil
}

// countEvents asks for one event and how many more there are.
func (r *Rig) countEvents(ctx context.Context, namespace string) (int, error) {
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("AuditEventList"))
	if err := r.admin.List(ctx, &list, client.InNamespace(namespace), client.Limit(1)); err != nil {
		return 0, fmt.Errorf("counting AuditEvents: %w", err)
	}
	count := len(list.Items)
	if list.RemainingItemCount != nil {
		count += int(*list.RemainingItemCount)
	}
	return count, nil
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }

// remark is a row without latencies.
func remark(what, under, remark string) report.Row {
	return report.Row{What: what, Load: under, P50: math.NaN(), P99: math.NaN(), PerSecond: math.NaN(), Remark: remark}
}
