package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/trailkeeper/trailkeeper/test/bench/load"
	"github.com/trailkeeper/trailkeeper/test/bench/report"
)

// watchedRate is in events a second: about what an API server on such a machine records, and less than one trail falls behind at.
const watchedRate = 300

// watched measures what the manager uses for an event that its watch shows, from there to the written cursor, while nothing is
// behind.
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
	rig.arrivals.begin()
	stored := load.Open(ctx, watchedRate, time.Duration(size.Watched)*time.Second/watchedRate, backlog.storeOne)
	if stored.Failed > 0 {
		return fmt.Errorf("storing events: %w", stored.Err)
	}
	if err := rig.waitForArrivals(ctx, len(stored.Latencies), patience); err != nil {
		return err
	}
	err = rig.waitForTrail(ctx, trail, patience, "to commit its cursor", func() bool {
		return trail.Status.Delivery != nil && trail.Status.Delivery.Sequence >= int64(len(stored.Latencies))
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
	into.Add("delivery.e2e.cpu_s_per_million", cpu.Seconds()/float64(len(stored.Latencies))*1e6, "s", report.AtMost(25))
	row := remark("delivery, watch to commit", fmt.Sprintf("%d events", len(stored.Latencies)),
		fmt.Sprintf("CPU %.2f s, %d calls, peak RSS %.0f MB", cpu.Seconds(), calls, megabytes(after.PeakRSS)))
	row.PerSecond = stored.Rate()
	into.AddRow(row)
	return nil
}
