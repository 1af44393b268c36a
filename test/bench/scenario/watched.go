package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/trailkeeper/trailkeeper/internal/testenv"
	"github.com/trailkeeper/trailkeeper/test/bench/load"
	"github.com/trailkeeper/trailkeeper/test/bench/report"
)

// watchedRate is in events a second: about what an API server on such a machine records, and less than one trail falls behind at.
const watchedRate = 300

// watched measures what the manager uses for an event that its watch shows, from there to the written cursor, while nothing is
// behind, and what somebody uses who only watches.
func watched(ctx context.Context, rig *Rig, size Size, into *report.Report) error {
	trail, err := rig.trail(ctx, watchedNamespace)
	if err != nil {
		return err
	}
	backlog, err := rig.newBacklog(ctx, trail, size.Objects, size.Watched)
	if err != nil {
		return err
	}
	watcher, err := rig.startWebhook(ctx, WatcherCommand, rig.managerOptions.Kubeconfig)
	if err != nil {
		return err
	}
	before, err := usages(rig.manager.PID(), watcher.pid)
	if err != nil {
		return err
	}
	rig.arrivals.begin()
	stored := load.Open(ctx, watchedRate, time.Duration(size.Watched)*time.Second/watchedRate, backlog.storeOne)
	if stored.Failed > 0 {
		return fmt.Errorf("storing events: %w", stored.Err)
	}
	events := len(stored.Latencies)
	if err := rig.waitForArrivals(ctx, events, patience); err != nil {
		return err
	}
	err = rig.waitForTrail(ctx, trail, patience, "to commit its cursor", func() bool {
		return trail.Status.Delivery != nil && trail.Status.Delivery.Sequence >= int64(events)
	})
	if err != nil {
		return err
	}
	if err := watcher.hasSeen(ctx, events); err != nil {
		return err
	}
	after, err := usages(rig.manager.PID(), watcher.pid)
	if err != nil {
		return err
	}
	calls, _ := rig.arrivals.end().calls()
	perMillion := func(i int) float64 { return (after[i].CPU - before[i].CPU).Seconds() / float64(events) * 1e6 }
	into.Add("delivery.e2e.cpu_s_per_million", perMillion(0), "s", report.AtMost(25))
	into.Add("delivery.e2e.floor_cpu_s_per_million", perMillion(1), "s of somebody who only watches", report.Target{})
	row := remark("delivery, watch to commit", fmt.Sprintf("%d events", events),
		fmt.Sprintf("%d calls, peak RSS %.0f MB", calls, megabytes(after[0].PeakRSS)))
	row.PerSecond = stored.Rate()
	into.AddRow(row)
	return nil
}

// usages are what processes have used so far.
func usages(pids ...int) ([]testenv.Usage, error) {
	used := make([]testenv.Usage, len(pids))
	for i, pid := range pids {
		var err error
		if used[i], err = testenv.UsageOf(pid); err != nil {
			return nil, err
		}
	}
	return used, nil
}
