package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// Recorder measures the admission path.
type Recorder struct {
	requests   *prometheus.CounterVec
	events     *prometheus.CounterVec
	unrecorded *prometheus.CounterVec
	duration   prometheus.Histogram
}

func (r *Recorder) register(c *catalog) {
	r.requests = c.counter("recorder_requests_total", "Admission requests by how they were answered: unwanted, recorded, dry-run, no-op, malformed, throttled, failed, refused or not-ready.", "answer")
	r.events = c.counter("recorder_events_total", "AuditEvents stored before the answer, by where: replicated (etcd), local (the file, as the trail asks), spilled (the file, because etcd did not take it).", "stored")
	r.unrecorded = c.counter("recorder_unrecorded_events_total", "AuditEvents that a trail asked for and that could not be stored anywhere. Alert on any increase.")
	r.duration = c.histogram("recorder_duration_seconds", "Time from receiving an admission request that a trail wants to its answer.",
		[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10})
}

// Answered counts a request.
func (r *Recorder) Answered(answer Answer) { r.requests.WithLabelValues(string(answer)).Inc() }

// EventStored counts an event.
func (r *Recorder) EventStored(stored Stored) { r.events.WithLabelValues(string(stored)).Inc() }

// EventLost counts an event that could not be stored.
func (r *Recorder) EventLost() { r.unrecorded.WithLabelValues().Inc() }

// Took measures a wanted request.
func (r *Recorder) Took(duration time.Duration) { r.duration.Observe(duration.Seconds()) }

// Delivery measures the way from the cluster to the destination.
type Delivery struct {
	pending, packed, full, lag, cursor   *prometheus.GaugeVec
	delivered, rejected, batches, volume *prometheus.CounterVec
	retries                              *prometheus.CounterVec
	outcomes                             *prometheus.CounterVec
}

func (d *Delivery) register(c *catalog) {
	const namespace, trail = "namespace", "trail"
	d.pending = c.gauge("delivery_pending_events", "Recorded events past the trail's cursor, not yet acknowledged.", namespace, trail)
	d.packed = c.gauge("delivery_packed_events", "Those of them that are packed into AuditEventChunks, because the destination has taken nothing for long.", namespace, trail)
	d.full = c.gauge("delivery_backlog_full", "1 while so many events wait that no more are recorded for the trail, else 0. Alert on 1.", namespace, trail)
	d.lag = c.gauge("delivery_lag_seconds", "Age of the oldest AuditEvent that is not acknowledged; 0 when there is none.", namespace, trail)
	d.cursor = c.gauge("delivery_cursor_timestamp_seconds", "When the trail's cursor was last written (Unix time); its age is time() minus this.", namespace, trail)
	d.delivered = c.counter("delivery_delivered_records_total", "Records that the destination accepted.", namespace, trail)
	d.rejected = c.counter("delivery_rejected_records_total", "Records that the destination refused for good. Alert on any increase.", namespace, trail)
	d.batches = c.counter("delivery_batches_total", "Batches that the destination accepted.", namespace, trail)
	d.volume = c.counter("delivery_bytes_total", "Bytes of accepted records, before compression.", namespace, trail)
	d.retries = c.counter("delivery_retries_total", "Pushes that are tried again, by class: transient, throttled, auth, notfound, invalid or quota.", namespace, trail, "class")
	d.outcomes = c.counter("delivery_outcomes_total", "Changes by whether they stuck: Persisted, NotPersisted or Unknown.", "outcome")
}

func (d *Delivery) perTrail() []*prometheus.MetricVec {
	return []*prometheus.MetricVec{
		d.pending.MetricVec, d.packed.MetricVec, d.full.MetricVec, d.lag.MetricVec, d.cursor.MetricVec, d.delivered.MetricVec, d.rejected.MetricVec,
		d.batches.MetricVec, d.volume.MetricVec, d.retries.MetricVec,
	}
}

// Backlog sets how many events wait, and for how long the oldest has.
func (d *Delivery) Backlog(namespace, trail string, pending int, lag time.Duration) {
	d.pending.WithLabelValues(namespace, trail).Set(float64(pending))
	d.lag.WithLabelValues(namespace, trail).Set(lag.Seconds())
}

// Packed shows how many of the events that wait are packed, and whether no more may wait.
func (d *Delivery) Packed(namespace, trail string, events int64, full bool) {
	d.packed.WithLabelValues(namespace, trail).Set(float64(events))
	value := 0.0
	if full {
		value = 1
	}
	d.full.WithLabelValues(namespace, trail).Set(value)
}

// Accepted counts a batch of records and its bytes.
func (d *Delivery) Accepted(namespace, trail string, records, bytes int) {
	d.batches.WithLabelValues(namespace, trail).Inc()
	d.delivered.WithLabelValues(namespace, trail).Add(float64(records))
	d.volume.WithLabelValues(namespace, trail).Add(float64(bytes))
}

// Rejected counts records that were refused for good.
func (d *Delivery) Rejected(namespace, trail string, records int) {
	d.rejected.WithLabelValues(namespace, trail).Add(float64(records))
}

// Retried counts a push that will be tried again.
func (d *Delivery) Retried(namespace, trail string, class string) {
	d.retries.WithLabelValues(namespace, trail, class).Inc()
}

// CursorWritten notes when the cursor was written.
func (d *Delivery) CursorWritten(namespace, trail string, at time.Time) {
	d.cursor.WithLabelValues(namespace, trail).Set(unix(at))
}

// Judged counts an outcome.
func (d *Delivery) Judged(outcome v1alpha1.Outcome) {
	d.outcomes.WithLabelValues(string(outcome)).Inc()
}

// Retention measures the in-cluster copy.
type Retention struct {
	pruned   *prometheus.CounterVec
	orphaned *prometheus.CounterVec
}

func (r *Retention) register(c *catalog) {
	r.pruned = c.counter("retention_pruned_events_total", "AuditEvents pruned from the cluster for their age or number.", "namespace", "trail")
	r.orphaned = c.counter("retention_orphans_pruned_total", "AuditEvents pruned from the cluster whose trail no longer exists.")
}

// Pruned counts a trail's events that were pruned.
func (r *Retention) Pruned(namespace, trail string, events int) {
	r.pruned.WithLabelValues(namespace, trail).Add(float64(events))
}

// OrphansPruned counts events without a trail that were pruned.
func (r *Retention) OrphansPruned(events int) { r.orphaned.WithLabelValues().Add(float64(events)) }

// Webhook measures the webhook configuration.
type Webhook struct{ restored *prometheus.CounterVec }

func (w *Webhook) register(c *catalog) {
	w.restored = c.counter("webhook_configuration_restored_total", "Times that somebody else changed or deleted the webhook configuration and it was restored. Alert on any increase.")
}

// Restored counts a restored configuration.
func (w *Webhook) Restored() { w.restored.WithLabelValues().Inc() }

// Spill measures the local file.
type Spill struct {
	replayed *prometheus.CounterVec
	damaged  *prometheus.CounterVec
	source   atomic.Pointer[func() (records int, bytes int64)]
}

func (s *Spill) register(c *catalog) {
	c.gaugeFunc("spill_records", "AuditEvents that wait in this replica's local file.", nil, func() float64 { records, _ := s.size(); return float64(records) })
	c.gaugeFunc("spill_bytes", "What they take of the file's limit.", nil, func() float64 { _, bytes := s.size(); return float64(bytes) })
	s.replayed = c.counter("spill_replayed_records_total", "AuditEvents replayed from the local file.")
	s.damaged = c.counter("spill_damaged_files_total", "Local files that were found damaged at start and set aside. Alert on any increase.")
}

// Follow makes size the source of the file's gauges.
func (s *Spill) Follow(size func() (records int, bytes int64)) { s.source.Store(&size) }

// Replayed counts a replayed record.
func (s *Spill) Replayed() { s.replayed.WithLabelValues().Inc() }

// Damaged counts a file that was set aside.
func (s *Spill) Damaged() { s.damaged.WithLabelValues().Inc() }

func (s *Spill) size() (int, int64) {
	if source := s.source.Load(); source != nil {
		return (*source)()
	}
	return 0, 0
}
