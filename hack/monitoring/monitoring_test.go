package monitoring

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// foreign are metrics that Prometheus and its client library have, and not the operator's own.
var foreign = map[string]bool{"up": true, "process_resident_memory_bytes": true, "process_cpu_seconds_total": true}

// targetLabels are what Prometheus itself gives a series.
var targetLabels = map[string]bool{"job": true, "pod": true, "le": true, "__name__": true, "namespace": true}

var documented = regexp.MustCompile("(?m)^\\| `(trailkeeper_[a-z_]+)` \\| ([a-z]+) \\| (.*?) \\|")

// catalog are the operator's metrics with their labels, from their documentation, which is generated from the code.
func catalog(t *testing.T) map[string]map[string]bool {
	t.Helper()
	text := readFile(t, "docs/reference/metrics.md")
	metrics := map[string]map[string]bool{}
	for _, row := range documented.FindAllStringSubmatch(string(text), -1) {
		known := map[string]bool{}
		for name := range strings.SplitSeq(row[3], ",") {
			known[strings.Trim(name, " `")] = true
		}
		metrics[row[1]] = known
		if row[2] == "histogram" {
			metrics[row[1]+"_bucket"] = known
		}
	}
	if len(metrics) < 30 {
		t.Fatalf("found only %d metrics", len(metrics))
	}
	return metrics
}

// checkExpression expects an expression that Prometheus takes, about metrics and labels that there are.
func checkExpression(expression string, metrics map[string]map[string]bool) error {
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expression)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	var wrong error
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		own := metrics[selector.Name]
		if own == nil && !foreign[selector.Name] {
			wrong = fmt.Errorf("there is no metric %q", selector.Name)
		}
		for name := range own {
			known[name] = true
		}
		for _, matcher := range selector.LabelMatchers {
			if !own[matcher.Name] && !targetLabels[matcher.Name] {
				wrong = fmt.Errorf("%s has no label %q", selector.Name, matcher.Name)
			}
		}
		return nil
	})
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		if aggregation, ok := node.(*parser.AggregateExpr); ok {
			for _, name := range aggregation.Grouping {
				if !known[name] && !targetLabels[name] {
					wrong = fmt.Errorf("nothing has the label %q", name)
				}
			}
		}
		return nil
	})
	return wrong
}

func TestWrongExpressionsAreFound(t *testing.T) {
	metrics := catalog(t)
	for _, expression := range []string{
		"rate(trailkeeper_delivery_lag_seconds[5m]", "trailkeeper_delivery_lags_seconds", `trailkeeper_delivery_lag_seconds{trial="a"}`,
		"sum by (trial) (trailkeeper_delivery_lag_seconds)", "sum by (reason) (trailkeeper_delivery_lag_seconds)",
	} {
		if checkExpression(expression, metrics) == nil {
			t.Errorf("%s is accepted", expression)
		}
	}
}

// labelsIn are the label names that a template such as {{ $labels.pod }} or {{pod}} refers to.
var labelsIn = regexp.MustCompile(`\{\{ ?(?:\$labels\.)?([a-z_]+) ?\}\}`)

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", path))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// without is a series' labels but for those that say which metric it is.
func without(all labels.Labels) string {
	return labels.NewBuilder(all).Del(labels.MetricName).Labels().String()
}
