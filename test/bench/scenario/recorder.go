package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/test/bench/load"
	"github.com/trailkeeper/trailkeeper/test/bench/report"
)

// configuration is what the API server does besides creating a ConfigMap, by the ConfigMap's namespace.
type configuration int

const (
	withNothing configuration = iota
	withNoop
	withReplicated
	withLocal
	withFloor
	withLocalFloor
	configurations
)

var (
	configurationNames = [configurations]string{"no webhook", "no-op webhook", "recorder", "recorder, Local", "floor", "floor, Local"}
	namespaces         = [configurations]string{bareNamespace, noopNamespace, recorderNamespace, localNamespace, floorNamespace, localFloorNamespace}
)

// compared are those of one run; the floors are measured by themselves.
var compared = []configuration{withNothing, withNoop, withReplicated, withLocal}

// target is what a durability has to hold.
type target struct {
	c                 configuration
	name              string
	addedMS, saturate float64
}

// Replicated writes the event to etcd before the answer, Local to a file.
var targets = []target{
	{withReplicated, "recorder.replicated", 4, 0.45},
	{withLocal, "recorder.local", 0.7, 0.8},
}

// phase is a kind of load.
type phase struct {
	name string
	// rate is in requests a second; 0 saturates, with workers.
	rate    float64
	workers int
}

var phases = []phase{{name: "20/s", rate: 20}, {name: "100/s", rate: 100}, {name: "16 workers", workers: workers}}

const (
	workers = 16
	// drainTime bounds how long the events of one phase may take to arrive: settling, lingering, and a retry.
	drainTime = time.Minute
)

// recorderRun measures the recorder beside the API server without it and with a webhook that does nothing.
type recorderRun struct {
	*Rig
	size Size
	// results by phase, configuration and round.
	results [][configurations][]load.Result
	// delivered is how many events must have arrived so far.
	delivered int
	// cpu is what the manager used for events, from their admission to their delivery.
	cpu    time.Duration
	events int
}

// recorded measures the creation of ConfigMaps. The configurations take turns, so that all of them see the machine as it
// is just then, and each round is compared with itself.
func recorded(ctx context.Context, rig *Rig, size Size, into *report.Report) error {
	for _, namespace := range []string{recorderNamespace, localNamespace} {
		if _, err := rig.trail(ctx, namespace); err != nil {
			return err
		}
	}
	run := &recorderRun{Rig: rig, size: size, results: make([][configurations][]load.Result, len(phases)), delivered: rig.accepted()}
	if err := run.warmUp(ctx, "recorder", compared...); err != nil {
		return err
	}
	if err := run.rounds(ctx, "r", compared); err != nil {
		return err
	}
	run.report(into)
	return nil
}

// rounds has the configurations take turns. Its name is for what they create.
func (r *recorderRun) rounds(ctx context.Context, name string, used []configuration) error {
	for round := range r.size.Rounds {
		r.say("Round %d of %d", round+1, r.size.Rounds)
		for p := range phases {
			for _, c := range used {
				result, err := r.measure(ctx, c, phases[p], fmt.Sprintf("%s%d-p%d", name, round, p))
				if err != nil {
					return err
				}
				r.results[p][c] = append(r.results[p][c], result)
			}
		}
	}
	return nil
}

// warmUp opens connections and fills caches; what it measures is not kept, nor is the manager's use of the CPU.
// Scenarios share namespaces, so each has a name of its own for what it creates.
func (r *recorderRun) warmUp(ctx context.Context, name string, used ...configuration) error {
	size := r.size
	r.size.Phase = time.Second
	for _, c := range used {
		if _, err := r.measure(ctx, c, phases[len(phases)-1], "warm-"+name); err != nil {
			return err
		}
	}
	r.size, r.cpu, r.events = size, 0, 0
	return nil
}

// measure puts load on one configuration. After the recorder's turn it waits until all events were delivered, so that
// the next turn does not pay for them; one that does not arrive is an error.
func (r *recorderRun) measure(ctx context.Context, c configuration, p phase, prefix string) (load.Result, error) {
	if c != withReplicated && c != withLocal {
		return r.create(ctx, c, p, r.size.Phase, prefix)
	}
	before, err := r.usage()
	if err != nil {
		return load.Result{}, err
	}
	result, err := r.create(ctx, c, p, r.size.Phase, prefix)
	if err != nil {
		return result, err
	}
	r.delivered += len(result.Latencies)
	if err := r.waitForAccepted(ctx, r.delivered, drainTime); err != nil {
		return result, err
	}
	after, err := r.usage()
	if err != nil {
		return result, err
	}
	if c == withReplicated {
		r.cpu += after.CPU - before.CPU
		r.events += len(result.Latencies)
	}
	return result, nil
}

// create creates ConfigMaps for so long.
func (r *Rig) create(ctx context.Context, c configuration, p phase, length time.Duration, prefix string) (load.Result, error) {
	create := func(ctx context.Context, number int) error {
		return r.users[number%len(r.users)].createConfigMap(ctx, namespaces[c], fmt.Sprintf("%s-%d", prefix, number))
	}
	var result load.Result
	if p.rate > 0 {
		result = load.Open(ctx, p.rate, length, create)
	} else {
		result = load.Saturate(ctx, p.workers, length, create)
	}
	if len(result.Latencies) == 0 {
		return result, fmt.Errorf("no ConfigMap was created with %s: %w", configurationNames[c], result.Err)
	}
	return result, nil
}

// createConfigMap creates one of about 600 bytes.
func (p *poster) createConfigMap(ctx context.Context, namespace, name string) error {
	body, err := json.Marshal(&corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": "bench"}},
		Data:       map[string]string{"greeting": "hello", "settings": strings.Repeat("colour=teal\n", 32)},
	})
	if err != nil {
		return fmt.Errorf("encoding a ConfigMap: %w", err)
	}
	return p.post(ctx, "/api/v1/namespaces/"+namespace+"/configmaps", body)
}

func (r *recorderRun) report(into *report.Report) {
	r.reportRows(into, compared...)
	for _, t := range targets {
		into.Add(t.name+".added_p50_ms", r.addedP50(t.c), "ms", report.AtMost(t.addedMS))
		into.Add(t.name+".saturated_ratio", r.saturatedRatio(t.c), "of the no-op webhook's rate", report.AtLeast(t.saturate))
	}
	into.Add("manager.cpu_ms_per_event", float64(r.cpu)/float64(time.Millisecond)/float64(r.events), "ms", report.Target{})
}

func (r *recorderRun) reportRows(into *report.Report, of ...configuration) {
	for p, phase := range phases {
		for _, c := range of {
			into.AddRow(summary(configurationNames[c], phase.name, r.results[p][c]))
		}
	}
}

// addedP50 is what a configuration adds to the no-op webhook's median latency, in milliseconds, at the worse of the rates.
func (r *recorderRun) addedP50(c configuration) float64 {
	added := math.Inf(-1)
	for p, phase := range phases {
		if phase.rate > 0 {
			added = math.Max(added, r.compare(p, c, func(of, noop load.Result) float64 {
				return of.Milliseconds(0.5) - noop.Milliseconds(0.5)
			}))
		}
	}
	return added
}

// saturatedRatio is a configuration's rate as a share of the no-op webhook's.
func (r *recorderRun) saturatedRatio(c configuration) float64 {
	return r.compare(len(phases)-1, c, func(of, noop load.Result) float64 { return of.Rate() / noop.Rate() })
}

// compare is the median over the rounds of how a configuration compares with the no-op webhook in one phase.
func (r *recorderRun) compare(p int, c configuration, of func(recorder, noop load.Result) float64) float64 {
	values := make([]float64, r.size.Rounds)
	for round := range values {
		values[round] = of(r.results[p][c][round], r.results[p][withNoop][round])
	}
	return load.Median(values)
}

// summary is the medians over the rounds.
func summary(what, under string, rounds []load.Result) report.Row {
	var p50, p99, rate []float64
	var requests, failed int
	for _, round := range rounds {
		p50 = append(p50, round.Milliseconds(0.5))
		p99 = append(p99, round.Milliseconds(0.99))
		rate = append(rate, round.Rate())
		requests += len(round.Latencies) + round.Failed
		failed += round.Failed
	}
	return report.Row{
		What: "ConfigMap creates, " + what, Load: under,
		P50: load.Median(p50), P99: load.Median(p99), PerSecond: load.Median(rate),
		Remark: fmt.Sprintf("%d rounds, %d requests, %d failed", len(rounds), requests, failed),
	}
}
