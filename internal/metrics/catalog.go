package metrics

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Definition describes one metric.
type Definition struct {
	// Name with its prefix.
	Name string
	// Type is counter, gauge or histogram.
	Type string
	// Help says what is counted, and in which unit.
	Help string
	// Labels of each series.
	Labels []string
}

// catalog makes and registers metrics, and keeps their definitions for the documentation.
type catalog struct {
	registerer  prometheus.Registerer
	definitions []Definition
}

func (c *catalog) add(kind string, opts prometheus.Opts, labels []string, collector prometheus.Collector) {
	c.registerer.MustRegister(collector)
	name := prometheus.BuildFQName(opts.Namespace, opts.Subsystem, opts.Name)
	c.definitions = append(c.definitions, Definition{Name: name, Type: kind, Help: opts.Help, Labels: labels})
}

func opts(name, help string) prometheus.Opts {
	return prometheus.Opts{Namespace: "trailkeeper", Name: name, Help: help}
}

func (c *catalog) counter(name, help string, labels ...string) *prometheus.CounterVec {
	o := opts(name, help)
	vec := prometheus.NewCounterVec(prometheus.CounterOpts(o), labels)
	c.add("counter", o, labels, vec)
	if len(labels) == 0 {
		vec.WithLabelValues() // shows 0 from the start, so that an alert sees the first increase
	}
	return vec
}

func (c *catalog) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	o := opts(name, help)
	vec := prometheus.NewGaugeVec(prometheus.GaugeOpts(o), labels)
	c.add("gauge", o, labels, vec)
	return vec
}

// gaugeFunc is a gauge whose value is asked for when it is scraped.
func (c *catalog) gaugeFunc(name, help string, constant prometheus.Labels, value func() float64) {
	o := opts(name, help)
	o.ConstLabels = constant
	c.registerer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts(o), value))
	for _, known := range c.definitions {
		if known.Name == "trailkeeper_"+name {
			return // another value of the constant label
		}
	}
	var labels []string
	for label := range constant {
		labels = append(labels, label)
	}
	c.definitions = append(c.definitions, Definition{Name: "trailkeeper_" + name, Type: "gauge", Help: help, Labels: labels})
}

func (c *catalog) histogram(name, help string, buckets []float64) prometheus.Histogram {
	o := opts(name, help)
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: o.Namespace, Name: o.Name, Help: o.Help, Buckets: buckets})
	c.add("histogram", o, nil, histogram)
	return histogram
}

// Markdown renders definitions as the reference page.
func Markdown(definitions []Definition) string {
	var page strings.Builder
	page.WriteString("# Metrics\n\nGenerated from internal/metrics; do not edit. Labels `namespace` and `trail` name an AuditTrail.\n\n")
	page.WriteString("| name | type | labels | meaning |\n| --- | --- | --- | --- |\n")
	for _, d := range definitions {
		labels := ""
		if len(d.Labels) > 0 {
			labels = "`" + strings.Join(d.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", d.Name, d.Type, labels, strings.ReplaceAll(d.Help, "|", "\\|"))
	}
	return page.String()
}
