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
	quarantined, restamped               *prometheus.CounterVec
	body, wire                           *prometheus.CounterVec
	fill                                 prometheus.Histogram
	retries                              *prometheus.CounterVec
	outcomes, vanished                   *prometheus.CounterVec
	shards                               *prometheus.GaugeVec

	sequence, vouched, checkpoint *prometheus.GaugeVec
	entries, failures             *prometheus.CounterVec
}

func (d *Delivery) register(c *catalog) {
	const namespace, trail = "namespace", "trail"
	d.pending = c.gauge("delivery_pending_events", "Recorded events past the trail's cursor, not yet acknowledged.", namespace, trail)
	d.packed = c.gauge("delivery_packed_events", "Those of them that are packed into AuditEventChunks, because the destination has taken nothing for long.", namespace, trail)
	d.full = c.gauge("delivery_backlog_full", "1 while so many events wait that no more are recorded for the trail, else 0. Alert on 1.", namespace, trail)
	d.lag = c.gauge("delivery_lag_seconds", "Age of the oldest AuditEvent that is not acknowledged; 0 when there is none.", namespace, trail)
	d.cursor = c.gauge("delivery_cursor_timestamp_seconds", "When the trail's cursor was last written (Unix time); its age is time() minus this.", namespace, trail)
	d.delivered = c.counter("delivery_delivered_records_total", "Records that the destination accepted.", namespace, trail)
	d.rejected = c.counter("delivery_rejected_records_total", "Records that the destination did not take, by reason: RecordRejected, TooLarge, TooOld, Expired or TooNew. Each leaves a gap in the trail that tells of it. Alert on any increase.", namespace, trail, "reason")
	d.quarantined = c.counter("delivery_quarantined_records_total", "Those of them that are refused for what they are, whenever they are sent: RecordRejected and TooLarge.", namespace, trail)
	d.restamped = c.counter("delivery_restamped_records_total", "Records that were sent with the present as their time, because the destination takes none of their own: TooOld, Expired or TooNew.", namespace, trail, "reason")
	d.batches = c.counter("delivery_batches_total", "Batches that the destination accepted.", namespace, trail)
	d.volume = c.counter("delivery_bytes_total", "Bytes of accepted records.", namespace, trail)
	d.body = c.counter("delivery_body_bytes_total", "Bytes of accepted calls before compression: records as JSON strings, and what is around them.", namespace, trail)
	d.wire = c.counter("delivery_wire_bytes_total", "Bytes of accepted calls as they were sent.", namespace, trail)
	d.fill = c.histogram("delivery_batch_fill_ratio", "How much of a batch's limit of 1 MiB was used, in accepted batches.",
		[]float64{.01, .05, .1, .25, .5, .75, .9, .95, .98, 1})
	d.retries = c.counter("delivery_retries_total", "Pushes that are tried again, by class: transient, throttled, auth, notfound, invalid or quota.", namespace, trail, "class")
	d.vanished = c.counter("delivery_vanished_events_total", "AuditEvents that somebody deleted before their destination took them: the wipe of a namespace whose trail could not push, or whoever got past the policy. Alert on any increase.")
	d.sequence = c.gauge("ledger_sequence", "Sequence number of the last record of the trail's chain.", namespace, trail)
	d.vouched = c.gauge("ledger_checkpoint_sequence", "Sequence number up to which the ledger's last entry vouches.", namespace, trail)
	d.checkpoint = c.gauge("ledger_checkpoint_timestamp_seconds", "When the ledger's last entry was written (Unix time); its age is time() minus this.", namespace, trail)
	d.entries = c.counter("ledger_entries_total", "Entries that were written into the trail's ledger.", namespace, trail)
	d.failures = c.counter("ledger_failures_total", "Tries to write the trail's ledger that failed and are repeated. Alert when it keeps rising.", namespace, trail)
	d.outcomes = c.counter("delivery_outcomes_total", "Changes by whether they stuck: Persisted, NotPersisted or Unknown.", "outcome")
	d.shards = c.gauge("delivery_shards", "Shards whose trails this replica delivers. Their sum over the replicas is --delivery-shards, but for moments.")
}

// ShardsHeld sets how many shards this replica delivers.
func (d *Delivery) ShardsHeld(shards int) { d.shards.WithLabelValues().Set(float64(shards)) }

// Forget removes the series of a trail that this replica does not deliver any more.
func (d *Delivery) Forget(namespace, trail string) {
	for _, vec := range d.perTrail() {
		vec.DeletePartialMatch(prometheus.Labels{"namespace": namespace, "trail": trail})
	}
}

func (d *Delivery) perTrail() []*prometheus.MetricVec {
	return []*prometheus.MetricVec{
		d.pending.MetricVec, d.packed.MetricVec, d.full.MetricVec, d.lag.MetricVec, d.cursor.MetricVec, d.delivered.MetricVec, d.rejected.MetricVec,
		d.batches.MetricVec, d.volume.MetricVec, d.retries.MetricVec,
		d.sequence.MetricVec, d.vouched.MetricVec, d.checkpoint.MetricVec, d.entries.MetricVec, d.failures.MetricVec,
		d.quarantined.MetricVec, d.restamped.MetricVec, d.body.MetricVec, d.wire.MetricVec,
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

// Batch is one call that the destination accepted.
type Batch struct {
	// Records of it that were accepted, and their Bytes.
	Records, Bytes int
	// BodyBytes before compression, and WireBytes after it.
	BodyBytes, WireBytes int
	// Fill is the part of the limit that was used.
	Fill float64
}

// Accepted counts a batch.
func (d *Delivery) Accepted(namespace, trail string, batch Batch) {
	d.batches.WithLabelValues(namespace, trail).Inc()
	d.delivered.WithLabelValues(namespace, trail).Add(float64(batch.Records))
	d.volume.WithLabelValues(namespace, trail).Add(float64(batch.Bytes))
	d.body.WithLabelValues(namespace, trail).Add(float64(batch.BodyBytes))
	d.wire.WithLabelValues(namespace, trail).Add(float64(batch.WireBytes))
	d.fill.Observe(batch.Fill)
}

// Rejected counts records that were not taken.
func (d *Delivery) Rejected(namespace, trail, reason string, records int) {
	d.rejected.WithLabelValues(namespace, trail, reason).Add(float64(records))
}

// Quarantined counts those of them that no time helps.
func (d *Delivery) Quarantined(namespace, trail string, records int) {
	d.quarantined.WithLabelValues(namespace, trail).Add(float64(records))
}

// Restamped counts records that were sent with another time than their own.
func (d *Delivery) Restamped(namespace, trail, reason string, records int) {
	d.restamped.WithLabelValues(namespace, trail, reason).Add(float64(records))
}

// Retried counts a push that will be tried again.
func (d *Delivery) Retried(namespace, trail string, class string) {
	d.retries.WithLabelValues(namespace, trail, class).Inc()
}

// CursorWritten notes when the cursor was written.
func (d *Delivery) CursorWritten(namespace, trail string, at time.Time) {
	d.cursor.WithLabelValues(namespace, trail).Set(unix(at))
}

// Vanished counts events that were deleted before they were delivered. It is not kept by trail: the trail may be gone too.
func (d *Delivery) Vanished(events int) { d.vanished.WithLabelValues().Add(float64(events)) }

// Chained sets the sequence number of the chain's last record.
func (d *Delivery) Chained(namespace, trail string, sequence int64) {
	d.sequence.WithLabelValues(namespace, trail).Set(float64(sequence))
}

// LedgerReached sets how far the ledger is, and since when.
func (d *Delivery) LedgerReached(namespace, trail string, sequence int64, at time.Time) {
	d.vouched.WithLabelValues(namespace, trail).Set(float64(sequence))
	d.checkpoint.WithLabelValues(namespace, trail).Set(unix(at))
}

// LedgerWritten counts an entry.
func (d *Delivery) LedgerWritten(namespace, trail string) {
	d.entries.WithLabelValues(namespace, trail).Inc()
}

// LedgerFailed counts a try to write the ledger that failed.
func (d *Delivery) LedgerFailed(namespace, trail string) {
	d.failures.WithLabelValues(namespace, trail).Inc()
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
type Webhook struct {
	restored, strangers *prometheus.CounterVec
	reachable           *prometheus.GaugeVec
}

func (w *Webhook) register(c *catalog) {
	w.restored = c.counter("webhook_configuration_restored_total", "Times that somebody else changed or deleted the webhook configuration and it was restored. Alert on any increase.")
	w.strangers = c.counter("webhook_strangers_total", "Calls of the recorder by somebody who is not the API server: without the secret part of the path, or without the client certificate that is asked for. Alert on any increase.")
	w.reachable = c.gauge("webhook_reachable", "1 while the recorder answers and proves itself where the API server calls it, else 0; absent until this replica tried. Alert on 0.")
}

// Stranger counts a call by somebody who is not the API server.
func (w *Webhook) Stranger() { w.strangers.WithLabelValues().Inc() }

// Reachable shows whether the recorder answered where the API server calls it.
func (w *Webhook) Reachable(reachable bool) {
	value := 0.0
	if reachable {
		value = 1
	}
	w.reachable.WithLabelValues().Set(value)
}

// Restored counts a restored configuration.
func (w *Webhook) Restored() { w.restored.WithLabelValues().Inc() }

// Follow measures the watches of what trails refer to.
type Follow struct {
	objects  *prometheus.GaugeVec
	restarts *prometheus.CounterVec
}

func (f *Follow) register(c *catalog) {
	f.objects = c.gauge("followed_objects", "Secrets and service accounts that the leader watches, because trails refer to them; 0 on other replicas.")
	f.objects.WithLabelValues()
	f.restarts = c.counter("follow_restarts_total", "Watches of single objects that are begun again, by why the last one ended: ended (as each does after some minutes), refused (the operator may not list or watch the object, so that changes are noticed with the next regular check) or error.", "cause")
}

// Following says how many more objects are watched, or less. Several may follow objects of their own.
func (f *Follow) Following(change int) { f.objects.WithLabelValues().Add(float64(change)) }

// Restarted counts a watch that is begun again.
func (f *Follow) Restarted(cause Cause) { f.restarts.WithLabelValues(string(cause)).Inc() }

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
