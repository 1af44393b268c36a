package metrics

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

var update = flag.Bool("update", false, "rewrite docs/reference/metrics.md")

func TestReferencePageIsUpToDate(t *testing.T) {
	g := NewWithT(t)
	const page = "../../docs/reference/metrics.md"
	want := Markdown(Register(prometheus.NewRegistry()).Definitions())
	if *update {
		g.Expect(os.WriteFile(page, []byte(want), 0o600)).To(Succeed())
	}
	have, err := os.ReadFile(page)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(have)).To(Equal(want), "run: go test ./internal/metrics -update")
}

// values gathers every series as name{label="value",...} and its value.
func values(g *WithT, registry *prometheus.Registry) map[string]float64 {
	families, err := registry.Gather()
	g.Expect(err).NotTo(HaveOccurred())
	found := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, label := range metric.GetLabel() {
				labels = append(labels, label.GetName()+"="+label.GetValue())
			}
			found[strings.TrimSuffix(family.GetName()+" "+strings.Join(labels, " "), " ")] = value(family.GetType(), metric)
		}
	}
	return found
}

func value(kind dto.MetricType, metric *dto.Metric) float64 {
	switch kind {
	case dto.MetricType_COUNTER:
		return metric.GetCounter().GetValue()
	case dto.MetricType_GAUGE:
		return metric.GetGauge().GetValue()
	default:
		return float64(metric.GetHistogram().GetSampleCount())
	}
}

func TestMethodsMoveTheirMetrics(t *testing.T) {
	g := NewWithT(t)
	registry := prometheus.NewRegistry()
	m := Register(registry)
	at := time.Unix(1_700_000_000, 0)
	m.Recorder.Answered(AnswerRecorded)
	m.Recorder.EventStored(StoredSpilled)
	m.Recorder.EventLost()
	m.Recorder.Took(time.Millisecond)
	m.Delivery.Backlog("a", "t", 7, 3*time.Second)
	m.Delivery.Accepted("a", "t", Batch{Records: 5, Bytes: 500, BodyBytes: 600, WireBytes: 60, Fill: 0.5})
	m.Delivery.Rejected("a", "t", "TooOld", 2)
	m.Delivery.Quarantined("a", "t", 1)
	m.Delivery.Restamped("a", "t", "Expired", 3)
	m.Delivery.Retried("a", "t", "throttled")
	m.Delivery.CursorWritten("a", "t", at)
	m.Delivery.Vanished(8)
	m.Delivery.Judged(v1alpha1.OutcomeUnknown)
	m.Retention.Pruned("a", "t", 4)
	m.Retention.OrphansPruned(3)
	m.Webhook.Restored()
	m.Webhook.Stranger()
	m.Webhook.Reachable(true)
	m.Follow.Following(6)
	m.Follow.Restarted(CauseRefused)
	m.Spill.Replayed()
	m.Spill.Damaged()
	m.Spill.Follow(func() (int, int64) { return 9, 900 })
	m.FollowCertificates(func() (time.Time, time.Time) { return at, time.Time{} })

	found := values(g, registry)
	want := map[string]float64{
		"trailkeeper_recorder_requests_total answer=recorded":                             1,
		"trailkeeper_recorder_events_total stored=spilled":                                1,
		"trailkeeper_recorder_unrecorded_events_total":                                    1,
		"trailkeeper_recorder_duration_seconds":                                           1,
		"trailkeeper_delivery_pending_events namespace=a trail=t":                         7,
		"trailkeeper_delivery_lag_seconds namespace=a trail=t":                            3,
		"trailkeeper_delivery_cursor_timestamp_seconds namespace=a trail=t":               1_700_000_000,
		"trailkeeper_delivery_delivered_records_total namespace=a trail=t":                5,
		"trailkeeper_delivery_batches_total namespace=a trail=t":                          1,
		"trailkeeper_delivery_bytes_total namespace=a trail=t":                            500,
		"trailkeeper_delivery_retries_total class=throttled namespace=a trail=t":          1,
		"trailkeeper_delivery_vanished_events_total":                                      8,
		"trailkeeper_delivery_outcomes_total outcome=Unknown":                             1,
		"trailkeeper_retention_pruned_events_total namespace=a trail=t":                   4,
		"trailkeeper_retention_orphans_pruned_total":                                      3,
		"trailkeeper_webhook_configuration_restored_total":                                1,
		"trailkeeper_webhook_strangers_total":                                             1,
		"trailkeeper_webhook_reachable":                                                   1,
		"trailkeeper_followed_objects":                                                    6,
		"trailkeeper_follow_restarts_total cause=refused":                                 1,
		"trailkeeper_spill_replayed_records_total":                                        1,
		"trailkeeper_spill_damaged_files_total":                                           1,
		"trailkeeper_spill_records":                                                       9,
		"trailkeeper_spill_bytes":                                                         900,
		"trailkeeper_certificate_expiry_timestamp_seconds certificate=authority":          1_700_000_000,
		"trailkeeper_certificate_expiry_timestamp_seconds certificate=serving":            0,
		"trailkeeper_delivery_rejected_records_total namespace=a reason=TooOld trail=t":   2,
		"trailkeeper_delivery_quarantined_records_total namespace=a trail=t":              1,
		"trailkeeper_delivery_restamped_records_total namespace=a reason=Expired trail=t": 3,
		"trailkeeper_delivery_body_bytes_total namespace=a trail=t":                       600,
		"trailkeeper_delivery_wire_bytes_total namespace=a trail=t":                       60,
		"trailkeeper_delivery_batch_fill_ratio":                                           1,
	}
	g.Expect(found).To(Equal(want))

	m.ForgetTrail("a", "t")
	for series := range values(g, registry) {
		g.Expect(series).NotTo(ContainSubstring("trail=t"))
	}
}
