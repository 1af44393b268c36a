package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Answer is how the recorder answered an admission request.
type Answer string

// Answers of the recorder.
const (
	AnswerUnwanted  Answer = "unwanted"  // no trail asks for it
	AnswerRecorded  Answer = "recorded"  // at least one event was stored
	AnswerDryRun    Answer = "dry-run"   // nothing would be persisted
	AnswerNoOp      Answer = "no-op"     // the update changes nothing
	AnswerMalformed Answer = "malformed" // not a readable AdmissionReview
	AnswerThrottled Answer = "throttled" // the replica is at its limit, the API server was told to retry
	AnswerFailed    Answer = "failed"    // an event was wanted and could not be stored; the change was admitted
	AnswerRefused   Answer = "refused"   // an event was wanted and could not be stored; the change was refused
	AnswerNotReady  Answer = "not-ready" // the trails are not known yet, the API server was told to retry
)

// Stored is where an event was stored before the answer.
type Stored string

// Places of events.
const (
	StoredReplicated Stored = "replicated" // in etcd
	StoredLocal      Stored = "local"      // in the local file, as the trail asks
	StoredSpilled    Stored = "spilled"    // in the local file, because etcd did not take it
)

// Cause is why a watch of one object ended.
type Cause string

// Causes of a new watch.
const (
	CauseEnded   Cause = "ended"   // as every watch does after a while
	CauseRefused Cause = "refused" // the operator may not list or watch the object
	CauseError   Cause = "error"
)

// Metrics is all metrics of one process. The groups' methods may be called from any goroutine.
type Metrics struct {
	Recorder  Recorder
	Delivery  Delivery
	Retention Retention
	Webhook   Webhook
	Follow    Follow
	Spill     Spill

	expiry  atomic.Pointer[func() (authority, serving time.Time)]
	catalog catalog
}

// Register makes the metrics and registers them. It panics when they are registered already: one process has one set.
func Register(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{catalog: catalog{registerer: registerer}}
	c := &m.catalog
	m.Recorder.register(c)
	m.Delivery.register(c)
	m.Retention.register(c)
	m.Webhook.register(c)
	m.Follow.register(c)
	m.Spill.register(c)
	const expiry = "certificate_expiry_timestamp_seconds"
	const help = "When the webhook's certificate authority, and this replica's serving certificate, expire (Unix time); 0 before there is one."
	c.gaugeFunc(expiry, help, prometheus.Labels{"certificate": "authority"}, func() float64 { a, _ := m.expiries(); return unix(a) })
	c.gaugeFunc(expiry, help, prometheus.Labels{"certificate": "serving"}, func() float64 { _, s := m.expiries(); return unix(s) })
	return m
}

// Definitions describes the registered metrics, for the documentation.
func (m *Metrics) Definitions() []Definition { return m.catalog.definitions }

// FollowCertificates makes expiry the source of the certificates' expiry times.
func (m *Metrics) FollowCertificates(expiry func() (authority, serving time.Time)) {
	m.expiry.Store(&expiry)
}

// ForgetTrail removes the series of a trail that is gone.
func (m *Metrics) ForgetTrail(namespace, trail string) {
	m.Delivery.Forget(namespace, trail)
	m.Retention.pruned.DeletePartialMatch(prometheus.Labels{"namespace": namespace, "trail": trail})
}

func (m *Metrics) expiries() (authority, serving time.Time) {
	if source := m.expiry.Load(); source != nil {
		return (*source)()
	}
	return time.Time{}, time.Time{}
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}
