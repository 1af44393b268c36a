package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/trailkeeper/trailkeeper/test/bench/load"
	"github.com/trailkeeper/trailkeeper/test/bench/report"
)

const (
	// freshRate is in changes a second: what a cluster of some thousand nodes audits.
	freshRate = 50
	// freshPhases is for how many phases that is kept up.
	freshPhases = 5
)

// fresh measures from the admission of a change to its record at the destination, when outcomes are looked for.
func fresh(ctx context.Context, rig *Rig, size Size, into *report.Report) error {
	if _, err := rig.trail(ctx, recorderNamespace); err != nil {
		return err
	}
	run := &recorderRun{Rig: rig, size: size, delivered: rig.accepted()}
	if err := run.warmUp(ctx, "fresh", withReplicated); err != nil {
		return err
	}
	rig.arrivals.begin()
	made := load.Open(ctx, freshRate, freshPhases*size.Phase, func(ctx context.Context, number int) error {
		return rig.users[number%len(rig.users)].createConfigMap(ctx, recorderNamespace, fmt.Sprintf("fresh-%d", number))
	})
	if made.Failed > 0 {
		return fmt.Errorf("%d changes were not made: %w", made.Failed, made.Err)
	}
	if err := rig.waitForArrivals(ctx, len(made.Latencies), drainTime); err != nil {
		return err
	}
	delays := rig.arrivals.end().delays()
	if len(delays.Latencies) != len(made.Latencies) {
		return fmt.Errorf("%d records arrived of %d changes", len(delays.Latencies), len(made.Latencies))
	}
	into.Add("delivery.freshness_p50_s", delays.Milliseconds(0.5)/1e3, "s", report.AtMost(3.5))
	into.Add("delivery.freshness_p99_s", delays.Milliseconds(0.99)/1e3, "s", report.AtMost(6))
	row := remark("change to CloudWatch", fmt.Sprintf("%d/s, %s", freshRate, (freshPhases*size.Phase).Round(time.Second)),
		fmt.Sprintf("%d records", len(delays.Latencies)))
	row.P50, row.P99 = delays.Milliseconds(0.5), delays.Milliseconds(0.99)
	into.AddRow(row)
	return nil
}
