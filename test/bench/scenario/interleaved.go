package scenario

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/test/bench/load"
	"github.com/trailkeeper/trailkeeper/test/bench/report"
)

const (
	// deniedGroup is a destination that refuses everybody, and stuckGroup one that never answers, while that is asked for.
	deniedGroup = "/audit/denied"
	stuckGroup  = "/audit/stuck"
	// linger is the manager's: for how long it collects events for one call.
	linger = time.Second
)

// interleaved measures many trails whose events come in turn: how many calls they take, and whether two broken destinations
// delay the others.
func interleaved(ctx context.Context, rig *Rig, size Size, into *report.Report) error {
	many, err := rig.startMany(ctx, size)
	if err != nil {
		return err
	}
	alone, err := many.run(ctx)
	if err != nil {
		return err
	}
	calls, _ := alone.calls()
	fewest := alone.fewest()
	mend := []func(){
		rig.cloud.Inject(cloudsim.Fault{Group: deniedGroup, Effect: cloudsim.Fail, Code: "AccessDeniedException"}),
		rig.cloud.Inject(cloudsim.Fault{Group: stuckGroup, Effect: cloudsim.Hang}),
	}
	beside, err := many.run(ctx, 0, 1)
	for _, each := range mend {
		each()
	}
	if err != nil {
		return err
	}
	well, harmed := alone.without(many.streams[:2]...).delays(), beside.without(many.streams[:2]...).delays()
	into.Add("delivery.calls_ratio.200_trails", float64(calls)/float64(fewest), "of the fewest that the linger allows", report.AtMost(2))
	into.Add("delivery.beside_broken_p99_ratio", harmed.Milliseconds(0.99)/well.Milliseconds(0.99), "×", report.AtMost(1.5))
	into.AddRow(delayRow(fmt.Sprintf("%d trails in turn", size.Interleaved), well, fmt.Sprintf("%d calls, of %d at the least", calls, fewest)))
	into.AddRow(delayRow("the same beside a denied and a hanging one", harmed, ""))
	return nil
}

func delayRow(under string, delays load.Result, what string) report.Row {
	row := remark("recording to CloudWatch", under, what)
	row.P50, row.P99 = delays.Milliseconds(0.5), delays.Milliseconds(0.99)
	return row
}

// many are trails whose events come in turn.
type many struct {
	*Rig
	size   Size
	trails []*v1alpha1.AuditTrail
	// streams are the names of their log streams.
	streams []string
	// runs is how often they had events.
	runs int
}

// startMany makes the trails, and returns when all of them are ready.
func (r *Rig) startMany(ctx context.Context, size Size) (*many, error) {
	m := &many{Rig: r, size: size}
	crowd := &crowd{rig: r, prefix: "bench-turns", applied: map[client.ObjectKey]time.Time{}}
	if err := crowd.prepare(ctx, size.Interleaved); err != nil {
		return nil, err
	}
	readiness, err := r.watchReadiness(ctx)
	if err != nil {
		return nil, err
	}
	defer readiness.stop()
	for i := range size.Interleaved {
		trail := crowdTrail(crowd.namespace(i), fmt.Sprintf("turn-%d", i))
		switch i {
		case 0:
			trail.Spec.CloudWatch.LogGroupName = deniedGroup
		case 1:
			trail.Spec.CloudWatch.LogGroupName = stuckGroup
		}
		if err := crowd.create(ctx, trail); err != nil {
			return nil, err
		}
		m.trails = append(m.trails, trail)
	}
	if _, err := crowd.wait(ctx, readiness); err != nil {
		return nil, err
	}
	for _, trail := range m.trails {
		if err := r.admin.Get(ctx, client.ObjectKeyFromObject(trail), trail); err != nil {
			return nil, fmt.Errorf("reading where a trail delivers to: %w", err)
		}
		m.streams = append(m.streams, trail.Status.LogStreamName)
	}
	return m, nil
}

// run stores the same number of events for each trail, in turn, and returns what arrived once all of it did, but for that of
// broken trails.
func (m *many) run(ctx context.Context, broken ...int) (streams, error) {
	m.runs++
	backlogs := make([]*backlog, len(m.trails))
	err := load.Each(ctx, creators, len(backlogs), func(ctx context.Context, i int) (err error) {
		backlogs[i], err = m.newNamedBacklog(ctx, fmt.Sprintf("%s-%d", m.trails[i].Name, m.runs), m.trails[i], 1, m.size.Turns)
		return err
	})
	if err != nil {
		return nil, err
	}
	m.say("Storing %d events of each of %d trails", m.size.Turns, len(m.trails))
	m.arrivals.begin()
	err = load.Each(ctx, creators, len(backlogs)*m.size.Turns, func(ctx context.Context, number int) error {
		return backlogs[number%len(backlogs)].storeOne(ctx, number/len(backlogs))
	})
	if err != nil {
		return nil, err
	}
	var without []string
	for _, i := range broken {
		without = append(without, m.streams[i])
	}
	if err := m.waitForArrivals(ctx, (len(backlogs)-len(broken))*m.size.Turns, patience, without...); err != nil {
		return nil, err
	}
	return m.arrivals.end(), nil
}
