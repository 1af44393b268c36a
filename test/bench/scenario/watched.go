package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/trailkeeper/trailkeeper/test/bench/report"
)

// watched measures what the manager uses for an event that its watch shows, from there to the written cursor: events are
// stored as fast as the API server takes them, and nothing is behind.
func watched(ctx context.Context, rig *Rig, size Size, into *report.Report) error {
	trail, err := rig.trail(ctx, watchedNamespace)
	if err != nil {
		return err
	}
	backlog, err := rig.newBacklog(ctx, trail, size.Objects, size.Watched)
	if err != nil {
		return err
	}
	before, err := rig.usage()
	if err != nil {
		return err
	}
	began := time.Now()
	rig.arrivals.begin()
	if err := backlog.store(ctx); err != nil {
		return err
	}
	stored := time.Since(began)
	if err := rig.waitForArrivals(ctx, size.Watched, patience); err != nil {
		return err
	}
	err = rig.waitForTrail(ctx, trail, patience, "to commit its cursor", func() bool {
		return trail.Status.Delivery != nil && trail.Status.Delivery.Sequence >= int64(size.Watched)
	})
	if err != nil {
		return err
	}
	after, err := rig.usage()
	if err != nil {
		return err
	}
	calls, _ := rig.arrivals.end().calls()
	cpu := after.CPU - before.CPU
	into.Add("delivery.e2e.cpu_s_per_million", cpu.Seconds()/float64(size.Watched)*1e6, "s", report.AtMost(25))
	row := remark("delivery, watch to commit", fmt.Sprintf("%d events", size.Watched),
		fmt.Sprintf("CPU %.2f s, %d calls, peak RSS %.0f MB", cpu.Seconds(), calls, megabytes(after.PeakRSS)))
	row.PerSecond = float64(size.Watched) / stored.Seconds()
	into.AddRow(row)
	return nil
}
