package scenario

import (
	"context"
	"fmt"

	"github.com/trailkeeper/trailkeeper/test/bench/load"
	"github.com/trailkeeper/trailkeeper/test/bench/report"
)

// manyClients are far more than the API server works for at a time: the recorder's own writes must not wait behind the
// changes that wait for them.
const manyClients = 600

// crowded compares what the API server gets done for many clients with what it gets done for a few, while all their
// changes are recorded.
func crowded(ctx context.Context, rig *Rig, size Size, into *report.Report) error {
	if _, err := rig.trail(ctx, recorderNamespace); err != nil {
		return err
	}
	run := &recorderRun{Rig: rig, size: size, delivered: rig.accepted()}
	if err := run.warmUp(ctx, "clients", withReplicated); err != nil {
		return err
	}
	var ratios []float64
	var few, many []load.Result
	denied := 0
	for round := range size.Rounds {
		var results [2]load.Result
		for i, clients := range []int{workers, manyClients} {
			result, err := run.measure(ctx, withReplicated, phase{workers: clients}, fmt.Sprintf("c%d-%d", round, clients))
			if err != nil {
				return err
			}
			results[i] = result
		}
		few, many = append(few, results[0]), append(many, results[1])
		ratios = append(ratios, results[1].Rate()/results[0].Rate())
		denied += results[1].Failed
	}
	into.Add("recorder.clients600.goodput_ratio", load.Median(ratios), "of 16 clients' goodput", report.AtLeast(0.9))
	into.Add("recorder.clients600.denied", float64(denied), "requests", report.AtMost(0))
	into.AddRow(summary(configurationNames[withReplicated], "16 clients", few))
	into.AddRow(summary(configurationNames[withReplicated], "600 clients", many))
	return nil
}
