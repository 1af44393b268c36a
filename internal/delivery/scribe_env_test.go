package delivery

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/ledgerkey"
	"github.com/trailkeeper/trailkeeper/internal/patch"
)

// keptTrail is a trail of which the trail controller has noted who made its stream.
func (r *rig) keptTrail(t *testing.T) *v1alpha1.AuditTrail {
	t.Helper()
	trail, made := r.trail(t), true
	NewWithT(t).Expect(patch.Status(t.Context(), r.Client, patch.TrailOwner, trail,
		v1alpha1.AuditTrailStatus{StreamCreatedByOperator: &made})).To(Succeed())
	return trail
}

// keeping has a replica keep ledgers, with checkpoints all the time.
func (r *rig) keeping(o *Options) {
	keeper := ledgerkey.NewKeeper(r.Client, ledgerkey.Options{Namespace: r.namespace})
	o.Ledger = &Ledger{
		Open: func(ctx context.Context, trail *v1alpha1.AuditTrail) (Sink, error) {
			return r.opener.OpenLedger(ctx, trail)
		},
		Streams: func(trail *v1alpha1.AuditTrail) (string, string) {
			return r.opener.StreamName(trail), r.opener.LedgerStreamName(trail)
		},
		Signer:  keeper.Signer,
		Cluster: "test",
		Every:   100 * time.Millisecond,
	}
}

// byTime is what a stream holds in the order in which CloudWatch Logs returns it.
func (r *rig) byTime(trail *v1alpha1.AuditTrail, stream string) []string {
	to := trail.Spec.CloudWatch
	events := slices.Clone(r.sim.Events(to.Region, to.LogGroupName, stream))
	slices.SortStableFunc(events, func(a, b cloudsim.Event) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
	var messages []string
	for _, event := range events {
		messages = append(messages, event.Message)
	}
	return messages
}

func (r *rig) verify(t *testing.T, trail *v1alpha1.AuditTrail) *ledger.Report {
	t.Helper()
	status := r.read(t, trail).Status
	return verified(t, string(trail.UID), status, r.byTime(trail, status.Ledger.LogStreamName), r.byTime(trail, trail.Spec.CloudWatch.LogStreamName))
}

// TestTheLedgerSurvivesKills: leaders are killed at any moment, others go on, answers get lost; and whoever reads what arrived
// finds everything once or identical, and vouched for.
func TestTheLedgerSurvivesKills(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	trail := r.keptTrail(t)
	const rounds, each = 8, 15
	var names []string
	for round := range rounds {
		l := r.lead(t, r.keeping)
		r.serve(t, l, trail)
		if round%2 == 1 {
			r.sim.Inject(cloudsim.Fault{Action: "PutLogEvents", Effect: cloudsim.Drop, Times: 1})
		}
		names = append(names, r.record(t, trail, round*each, each)...)
		some := rand.N(len(names) + 1)
		g.Eventually(func() int { return len(r.messages(trail)) }, patience, time.Millisecond).Should(BeNumerically(">=", some))
		l.kill()
	}
	last := r.lead(t, r.keeping)
	r.serve(t, last, trail)
	r.expect(t, trail, names)
	g.Eventually(func() *v1alpha1.DeliveryStatus { return r.read(t, trail).Status.Delivery }, patience, 20*time.Millisecond).
		Should(HaveField("Sequence", BeEquivalentTo(rounds*each)))
	last.stop()

	status := r.read(t, trail).Status
	// Whether the operator made the stream is known, but not to a leader that finds it after the one that made it was killed.
	g.Expect(status.Ledger).To(And(HaveField("LogStreamName", "cluster-a.ledger"), HaveField("StreamCreatedByOperator", Not(BeNil())),
		HaveField("Pending", BeEmpty()), HaveField("Sequence", BeEquivalentTo(rounds*each))))
	report := r.verify(t, trail)
	g.Expect(report.Findings).To(BeEmpty())
	g.Expect(*report).To(And(HaveField("Records", BeEquivalentTo(rounds*each)), HaveField("Vouched", BeEquivalentTo(rounds*each)),
		HaveField("Anchored", BeTrue()), HaveField("Entries", BeNumerically(">=", 2))))
	t.Logf("%d records, %d repeated, %d out of order; %d entries, %d repeated",
		report.Records, report.Repeated, report.OutOfOrder, report.Entries, report.RepeatedEntries)
}

// TestACutShows: a stream that was deleted and made again has lost its records, and the ledger says so.
func TestACutShows(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	trail := r.keptTrail(t)
	l := r.lead(t, r.keeping)
	r.serve(t, l, trail)
	names := r.record(t, trail, 0, 10)
	r.expect(t, trail, names)
	g.Eventually(func() *v1alpha1.LedgerStatus { return r.read(t, trail).Status.Ledger }, patience, 20*time.Millisecond).
		Should(HaveField("Sequence", BeEquivalentTo(10)))
	r.destroy(t, trail, false)
	r.record(t, trail, 10, 5)
	g.Eventually(func() int { return len(r.messages(trail)) }, patience, 20*time.Millisecond).Should(Equal(5))
	l.stop()
	g.Expect(r.verify(t, trail).Findings).To(ConsistOf(And(
		HaveField("Damage", ledger.Missing), HaveField("First", BeEquivalentTo(1)))))
}
