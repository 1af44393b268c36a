package monitoring

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"go.yaml.in/yaml/v3"
)

// alert is one rule of config/prometheus.
type alert struct {
	Name        string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func alerts(t *testing.T) []alert {
	t.Helper()
	var object struct {
		Spec struct {
			Groups []struct {
				Rules []alert `yaml:"rules"`
			} `yaml:"groups"`
		} `yaml:"spec"`
	}
	if err := yaml.Unmarshal(readFile(t, "config/prometheus/rules.yaml"), &object); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, group := range object.Spec.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// healthy are two replicas with one trail in good order; evaluations are a minute apart.
const healthy = `
up{job="trailkeeper-metrics",pod="a"} 1x300
up{job="trailkeeper-metrics",pod="b"} 1x300
trailkeeper_recorder_unrecorded_events_total{pod="a"} 0x300
trailkeeper_webhook_configuration_restored_total{pod="a"} 3x300
trailkeeper_webhook_reachable{pod="a"} 1x300
trailkeeper_webhook_strangers_total{pod="a"} 2x300
trailkeeper_spill_records{pod="a"} 0x300
trailkeeper_spill_damaged_files_total{pod="a"} 0x300
trailkeeper_certificate_expiry_timestamp_seconds{pod="a",certificate="serving"} 600000x300
trailkeeper_certificate_expiry_timestamp_seconds{pod="b",certificate="serving"} 0x300
trailkeeper_certificate_expiry_timestamp_seconds{pod="a",certificate="authority"} 30000000x300
trailkeeper_delivery_shards{pod="a"} 4x300
trailkeeper_delivery_shards{pod="b"} 4x300
trailkeeper_delivery_lag_seconds{pod="a",namespace="shop",trail="t"} 3x300
trailkeeper_delivery_backlog_full{pod="a",namespace="shop",trail="t"} 0x300
trailkeeper_delivery_rejected_records_total{pod="a",namespace="shop",trail="t",reason="TooOld"} 2x300
trailkeeper_delivery_vanished_events_total{pod="a"} 0x300
trailkeeper_ledger_failures_total{pod="a",namespace="shop",trail="t"} 1x300
trailkeeper_ledger_sequence{pod="a",namespace="shop",trail="t"} 100+1x300
trailkeeper_ledger_checkpoint_sequence{pod="a",namespace="shop",trail="t"} 50+1x300
trailkeeper_ledger_checkpoint_timestamp_seconds{pod="a",namespace="shop",trail="t"} 0+60x300
`

const ofTrail = `{namespace="shop", trail="t"}`

// Each case replaces the healthy series of the same metrics. Quiet is a minute at which the alert does not fire yet, or
// nothing where it fires as soon as it can.
var cases = []struct {
	alert, series string
	fires, quiet  time.Duration
	want          string
}{
	{"TrailkeeperNotRecording", `up{job="trailkeeper-metrics",pod="a"} 0x300`, 2 * time.Minute, time.Minute, `{}`},
	{"TrailkeeperTooFewReplicas", `up{job="trailkeeper-metrics",pod="a"} 1x300`, 15 * time.Minute, 14 * time.Minute, `{}`},
	{"TrailkeeperEventsUnrecorded", `trailkeeper_recorder_unrecorded_events_total{pod="a"} 0x10 1x300`, 12 * time.Minute, 9 * time.Minute, `{pod="a"}`},
	{"TrailkeeperConfigurationTampered", `trailkeeper_webhook_configuration_restored_total{pod="a"} 0x10 1x300`, 12 * time.Minute, 9 * time.Minute, `{pod="a"}`},
	{"TrailkeeperRecorderUnreachable", `trailkeeper_webhook_reachable{pod="a"} 1x5 0x300`, 11 * time.Minute, 10 * time.Minute, `{pod="a"}`},
	{"TrailkeeperStrangers", `trailkeeper_webhook_strangers_total{pod="a"} 0x10 1x300`, 12 * time.Minute, 9 * time.Minute, `{pod="a"}`},
	{"TrailkeeperSpillInUse", `trailkeeper_spill_records{pod="a"} 0x5 7x300`, 16 * time.Minute, 15 * time.Minute, `{pod="a"}`},
	{"TrailkeeperSpillDamaged", `trailkeeper_spill_damaged_files_total{pod="a"} _x5 1x300`, 6 * time.Minute, 4 * time.Minute, `{pod="a"}`},
	{"TrailkeeperCertificateExpiring", `trailkeeper_certificate_expiry_timestamp_seconds{pod="a",certificate="serving"} 90000x300`, 80 * time.Minute, 60 * time.Minute, `{certificate="serving", pod="a"}`},
	{"TrailkeeperCertificateExpiring", `trailkeeper_certificate_expiry_timestamp_seconds{pod="a",certificate="authority"} 2500000x300`, 15 * time.Minute, 14 * time.Minute, `{certificate="authority", pod="a"}`},
	{"TrailkeeperNobodyDelivers", `trailkeeper_delivery_shards{pod="a"} 0x300`, 5 * time.Minute, 4 * time.Minute, `{}`},
	{"TrailkeeperDeliveryLag", `trailkeeper_delivery_lag_seconds{pod="a",namespace="shop",trail="t"} 0+60x300`, 16 * time.Minute, 15 * time.Minute, ofTrail},
	{"TrailkeeperBacklogFull", `trailkeeper_delivery_backlog_full{pod="a",namespace="shop",trail="t"} 0x5 1x300`, 6 * time.Minute, 5 * time.Minute, ofTrail},
	{"TrailkeeperRecordsRejected", `trailkeeper_delivery_rejected_records_total{pod="a",namespace="shop",trail="t",reason="TooLarge"} 1x30 2x300`, 32 * time.Minute, 25 * time.Minute, `{namespace="shop", reason="TooLarge", trail="t"}`},
	{"TrailkeeperRecordsRejected", `trailkeeper_delivery_rejected_records_total{pod="a",namespace="shop",trail="t",reason="TooLarge"} _x30 1x300`, 31 * time.Minute, 29 * time.Minute, `{namespace="shop", reason="TooLarge", trail="t"}`},
	{"TrailkeeperEventsVanished", `trailkeeper_delivery_vanished_events_total{pod="a"} 0x10 1x300`, 12 * time.Minute, 9 * time.Minute, `{pod="a"}`},
	{"TrailkeeperLedgerFailing", `trailkeeper_ledger_failures_total{pod="a",namespace="shop",trail="t"} 0+1x300`, 62 * time.Minute, 60 * time.Minute, ofTrail},
	{"TrailkeeperLedgerBehind", `trailkeeper_ledger_checkpoint_timestamp_seconds{pod="a",namespace="shop",trail="t"} 0x300`, 196 * time.Minute, 195 * time.Minute, ofTrail},
}

func TestAlertsFire(t *testing.T) {
	all := alerts(t)
	tested := map[string]bool{}
	for _, test := range cases {
		tested[test.alert] = true
		t.Run(test.alert, func(t *testing.T) {
			index := slices.IndexFunc(all, func(a alert) bool { return a.Name == test.alert })
			if index < 0 {
				t.Fatal("there is no such alert")
			}
			store := load(t, replace(healthy, test.series))
			if got := firing(t, store, &all[index], test.fires); !slices.Equal(got, []string{test.want}) {
				t.Errorf("after %s it fires for %v, want %s", test.fires, got, test.want)
			}
			if got := firing(t, store, &all[index], test.quiet); len(got) > 0 {
				t.Errorf("after %s it fires already, for %v", test.quiet, got)
			}
		})
	}
	for _, a := range all {
		if !tested[a.Name] {
			t.Errorf("no test for %s", a.Name)
		}
	}
}

func TestNoAlertWhenAllIsWell(t *testing.T) {
	store := load(t, healthy)
	for _, a := range alerts(t) {
		if got := firing(t, store, &a, 290*time.Minute); len(got) > 0 {
			t.Errorf("%s fires for %v", a.Name, got)
		}
	}
}

func TestAlertsAreAboutWhatThereIs(t *testing.T) {
	metrics := catalog(t)
	operations := string(readFile(t, "docs/operations.md"))
	for _, a := range alerts(t) {
		if err := checkExpression(a.Expr, metrics); err != nil {
			t.Errorf("%s: %v", a.Name, err)
		}
		if severity := a.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s has severity %q", a.Name, severity)
		}
		if a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
			t.Errorf("%s does not say what it means", a.Name)
		}
		for _, used := range labelsIn.FindAllStringSubmatch(a.Annotations["description"], -1) {
			if !wanted(a.Name, used[1]) {
				t.Errorf("%s speaks of label %q, which its alerts lack", a.Name, used[1])
			}
		}
		if !strings.Contains(operations, "`"+a.Name+"`") {
			t.Errorf("docs/operations.md does not say what to do about %s", a.Name)
		}
	}
}

// wanted says whether the tested alerts of a name have a label.
func wanted(name, label string) bool {
	return slices.ContainsFunc(cases, func(c struct {
		alert, series string
		fires, quiet  time.Duration
		want          string
	},
	) bool {
		return c.alert == name && strings.Contains(c.want, label+"=")
	})
}

// replace leaves out of the series those of metrics that are among the new ones.
func replace(series, fresh string) string {
	name, _, _ := strings.Cut(fresh, "{")
	var kept []string
	for line := range strings.Lines(series) {
		if !strings.HasPrefix(line, name+"{") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "") + fresh + "\n"
}

func load(t *testing.T, series string) storage.Storage {
	t.Helper()
	var text strings.Builder
	text.WriteString("load 1m\n")
	for line := range strings.Lines(strings.TrimSpace(series)) {
		fmt.Fprintf(&text, "  %s\n", strings.TrimSpace(line))
	}
	return promqltest.LoadedStorage(t, text.String())
}

// firing evaluates an alert each minute, and says for which labels it fires at the end.
func firing(t *testing.T, store storage.Storage, a *alert, end time.Duration) []string {
	t.Helper()
	hold, err := time.ParseDuration("0" + a.For) // Nothing is nothing.
	if a.For != "" && err != nil {
		t.Fatal(err)
	}
	engine := promqltest.NewTestEngine(t, false, 5*time.Minute, 1_000_000)
	since := map[string]time.Time{}
	start := time.Unix(0, 0)
	for now := start; !now.After(start.Add(end)); now = now.Add(time.Minute) {
		active := evaluate(t, engine, store, a.Expr, now)
		for key := range since {
			if !active[key] {
				delete(since, key)
			}
		}
		for key := range active {
			if _, ok := since[key]; !ok {
				since[key] = now
			}
		}
	}
	var fires []string
	for key, began := range since {
		if start.Add(end).Sub(began) >= hold {
			fires = append(fires, key)
		}
	}
	slices.Sort(fires)
	return fires
}

func evaluate(t *testing.T, engine *promql.Engine, store storage.Storage, expression string, now time.Time) map[string]bool {
	t.Helper()
	query, err := engine.NewInstantQuery(t.Context(), store, nil, expression, now)
	if err != nil {
		t.Fatal(err)
	}
	defer query.Close()
	result, err := query.Exec(t.Context()).Vector()
	if err != nil {
		t.Fatal(err)
	}
	active := map[string]bool{}
	for _, sample := range result {
		active[without(sample.Metric)] = true
	}
	return active
}
