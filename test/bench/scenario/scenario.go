package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/trailkeeper/trailkeeper/test/bench/report"
)

// Size is how much is measured.
type Size struct {
	// Rounds of load through each configuration, and how long each rate is kept up in one round.
	Rounds int
	Phase  time.Duration
	// Stored is how many events are in the cluster when the manager's memory is read.
	Stored int
	// Backlog is how many events are delivered in one go.
	Backlog int
	// Grown is how many are when it is measured whether that takes more memory, and Outage how many the manager itself packs.
	Grown, Outage int
	// Watched is how many events are delivered as they come.
	Watched int
	// Objects is how many objects the backlog's events changed.
	Objects int
	// Trails is how many are made beside each other; every tenth is broken.
	Trails int
	// Interleaved is how many have events in turn, and Turns how many events each of them has.
	Interleaved, Turns int
	// ManagerArgs are further flags of the manager that is measured.
	ManagerArgs []string
}

var (
	// Full is what targets hold for.
	Full = Size{
		Rounds: 5, Phase: 4 * time.Second, Stored: 10_000, Backlog: 100_000, Grown: 1_000_000, Outage: 40_000, Watched: 15_000,
		Objects: 1000, Trails: 500, Interleaved: 200, Turns: 30,
	}
	// Short takes seconds, and shows that the benchmark itself works.
	Short = Size{
		Rounds: 1, Phase: time.Second, Stored: 500, Backlog: 2000, Grown: 3000, Outage: 1000, Watched: 500,
		Objects: 100, Trails: 60, Interleaved: 20, Turns: 5,
	}
)

// Scenario measures one thing.
type Scenario struct {
	Name string
	// InProcess says that it needs no Rig.
	InProcess bool
	// Alone gives it a control plane of its own: it stores so much that the API server serves nobody else well any more.
	Alone bool
	// Run adds what it measured to the report. It fails when it could not measure, or when something that was measured
	// went wrong, such as an event that did not arrive.
	Run func(ctx context.Context, rig *Rig, size Size, into *report.Report) error
}

// All are the scenarios in the order in which they must run: the manager's memory is read before the backlog needs
// more of it.
func All() []Scenario {
	return []Scenario{
		{Name: "unwanted", InProcess: true, Run: unwanted},
		{Name: "local", InProcess: true, Run: local},
		{Name: "sending", InProcess: true, Run: sent},
		{Name: "recorder", Run: recorded},
		{Name: "manager", Run: stored},
		{Name: "floor", Run: floored},
		{Name: "clients", Run: crowded},
		{Name: "freshness", Run: fresh},
		{Name: "watched", Run: watched},
		{Name: "delivery", Run: delivered},
		{Name: "interleaved", Run: interleaved},
		{Name: "query", Run: queried},
		{Name: "trails", Run: started},
		{Name: "growth", Alone: true, Run: grown},
	}
}

// Run runs the scenarios whose names are wanted, on one control plane but for those that are alone, and says on out what it does. One that fails does
// not keep the others from being measured.
func Run(ctx context.Context, size Size, wanted func(name string) bool, out io.Writer) (*report.Report, error) {
	return runAll(ctx, slices.DeleteFunc(All(), func(s Scenario) bool { return !wanted(s.Name) }), size, out)
}

func runAll(ctx context.Context, scenarios []Scenario, size Size, out io.Writer) (*report.Report, error) {
	into := &report.Report{}
	into.AddRow(machine())
	rig := newRig(out)
	rig.managerArgs = size.ManagerArgs
	defer func() { rig.close() }()
	var failed []error
	for _, scenario := range scenarios {
		if scenario.Alone {
			rig.close()
			rig = newRig(out)
			rig.managerArgs = size.ManagerArgs
		}
		if !scenario.InProcess {
			if err := rig.start(ctx); err != nil {
				return into, err
			}
		}
		rig.say("Measuring: %s", scenario.Name)
		if err := scenario.Run(ctx, rig, size, into); err != nil {
			failed = append(failed, fmt.Errorf("measuring %s: %w", scenario.Name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return into, errors.Join(failed...)
}

// machine says what the figures were measured on. Other work on it makes all of them worse.
func machine() report.Row {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		load = []byte("not known")
	}
	return remark("machine", fmt.Sprintf("%d cores", runtime.NumCPU()), "load averages before: "+strings.TrimSpace(string(load)))
}
