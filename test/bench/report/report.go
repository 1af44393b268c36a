package report

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
)

// Metric is one figure that is followed from run to run.
type Metric struct {
	// Name such as recorder.replicated.added_p50_ms; it stays the same for ever.
	Name string `json:"name"`
	// Value in Unit.
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Target is what the value must keep to; the zero Target accepts anything.
	Target Target `json:"-"`
}

// Target is a bound of a metric.
type Target struct {
	kind  string
	bound float64
}

// AtMost is met by values up to the bound.
func AtMost(bound float64) Target { return Target{"≤", bound} }

// AtLeast is met by values from the bound on.
func AtLeast(bound float64) Target { return Target{"≥", bound} }

func (t Target) met(value float64) bool {
	switch t.kind {
	case "≤":
		return value <= t.bound
	case "≥":
		return value >= t.bound
	default:
		return true
	}
}

func (t Target) String() string {
	if t.kind == "" {
		return ""
	}
	return t.kind + " " + number(t.bound)
}

// Row is one raw measurement that metrics were computed from.
type Row struct {
	// What was measured, and under which Load.
	What, Load string
	// P50 and P99 are latencies in ms, PerSecond the rate that was reached; NaN where it does not apply.
	P50, P99, PerSecond float64
	// Remark is anything else, such as how many requests failed.
	Remark string
}

// Report collects the figures of one run.
type Report struct {
	Metrics []Metric
	Rows    []Row
}

// Add adds a metric.
func (r *Report) Add(name string, value float64, unit string, target Target) {
	r.Metrics = append(r.Metrics, Metric{name, value, unit, target})
}

// AddRow adds a raw measurement.
func (r *Report) AddRow(row Row) { r.Rows = append(r.Rows, row) }

// Missed are the metrics that do not keep to their targets; a value that is not a number never does.
func (r *Report) Missed() []Metric {
	var missed []Metric
	for _, metric := range r.Metrics {
		if !metric.Target.met(metric.Value) {
			missed = append(missed, metric)
		}
	}
	return missed
}

// WriteJSON writes the metrics to a file, as a list of name, value and unit. A metric without a value is left out,
// because JSON cannot express it.
func (r *Report) WriteJSON(path string) error {
	known := make([]Metric, 0, len(r.Metrics))
	for _, metric := range r.Metrics {
		if !math.IsNaN(metric.Value) && !math.IsInf(metric.Value, 0) {
			known = append(known, metric)
		}
	}
	encoded, err := json.MarshalIndent(known, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the figures: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // Nothing in it is secret.
		return fmt.Errorf("making the folder of %s: %w", path, err)
	}
	if err := os.WriteFile(path, append(encoded, '\n'), 0o644); err != nil { //nolint:gosec // As above.
		return fmt.Errorf("writing the figures: %w", err)
	}
	return nil
}

// number has three significant digits, and all digits of whole numbers.
func number(value float64) string {
	switch {
	case math.IsNaN(value):
		return ""
	case math.Abs(value) >= 100:
		return strconv.FormatFloat(value, 'f', 0, 64)
	default:
		return strconv.FormatFloat(value, 'g', 3, 64)
	}
}
