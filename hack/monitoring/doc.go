// Package monitoring tests the alert rules of config/prometheus with Prometheus' own engine, and the dashboard of config/grafana:
// every metric that they ask for must be one that the operator has. It is a module of its own, to keep Prometheus out of the
// operator's.
package monitoring
