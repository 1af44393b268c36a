package testenv

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// MetricOf is the value of a counter or gauge that this process measures, of one value of its label when it has one; 0 when
// there is none.
func MetricOf(from prometheus.Gatherer, name, label string) (float64, error) {
	families, err := from.Gather()
	if err != nil {
		return 0, fmt.Errorf("reading metrics: %w", err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			labels := metric.GetLabel()
			if family.GetName() == name && (len(labels) == 0 || labels[0].GetValue() == label) {
				return metric.GetGauge().GetValue() + metric.GetCounter().GetValue(), nil
			}
		}
	}
	return 0, nil
}
