package rotation

import (
	"os"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	// An authority is renewed after 60 s, signs 7.5 s later, and is gone after 90 s.
	authorityLife = 90 * time.Second
	leafLife      = 20 * time.Second
	// round is from one authority to the next.
	round = authorityLife * 2 / 3
)

// rounds is how many authorities come and go.
func rounds() time.Duration {
	if os.Getenv("TRAILKEEPER_SOAK") != "" {
		return 5
	}
	return 1
}

// TestCertificatesAreReplacedUnseen: changes are refused when they cannot be recorded, so every failed call would show. Beside
// the API server, which keeps connections, somebody makes a new one to each replica all the time and verifies it with the
// bundle that the API server has.
func TestCertificatesAreReplacedUnseen(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	defer func() {
		for _, replica := range w.leaves() {
			t.Logf("a replica served %d certificates", len(replica))
		}
	}()
	load := w.startLoad(2, 100*time.Millisecond)
	handshakes := w.startHandshakes(250 * time.Millisecond)
	// Until the first authority is gone, in each round.
	watched := w.watchBundles(rounds()*round + authorityLife/2)
	load.stop()
	handshakes.stop()

	g.Expect(load.failures()).To(BeEmpty(), "of %d changes", load.count())
	g.Expect(handshakes.failures()).To(BeEmpty(), "of %d handshakes", handshakes.count())
	t.Logf("%d changes and %d handshakes while %d bundles were in force", load.count(), handshakes.count(), len(watched.bundles))
	g.Expect(len(watched.bundles)).To(BeNumerically(">=", 1+2*int(rounds())), "one, both, the other")
	g.Expect(watched.paths).To(HaveLen(1+int(rounds())), "each authority has a path of its own")
	for _, replica := range w.leaves() {
		g.Expect(len(replica)).To(BeNumerically(">=", 3*int(rounds())), "serving certificates are replaced too")
	}

	// Nothing is missed, and nothing told twice.
	times := map[string]int{}
	for _, event := range w.events() {
		times[event.Spec.Resource.Name]++
	}
	for _, name := range load.names() {
		g.Expect(times[name]).To(Equal(1), name)
	}
	for i := range w.operator.Size() {
		for _, counter := range []string{"trailkeeper_webhook_strangers_total", "trailkeeper_webhook_configuration_restored_total"} {
			value, err := w.operator.Replica(i).Metric(t.Context(), counter)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(value).To(BeZero(), counter)
		}
		reachable, err := w.operator.Replica(i).Metric(t.Context(), "trailkeeper_webhook_reachable")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(reachable).To(BeEquivalentTo(1))
	}
}

// trail refuses what it cannot record.
func trail() *v1alpha1.AuditTrail {
	made := &v1alpha1.AuditTrail{
		Spec: v1alpha1.AuditTrailSpec{
			Type:      v1alpha1.TrailTypeClusterOnly,
			Recording: v1alpha1.RecordingPolicy{FailurePolicy: v1alpha1.FailurePolicyFail},
			Rules: []v1alpha1.Rule{{
				Level: v1alpha1.LevelMetadata, Namespaces: []string{namespace},
				Resources: []v1alpha1.GroupResources{{Resources: []string{"configmaps"}}},
			}},
		},
	}
	made.Namespace, made.Name = testenv.OperatorNamespace, "all"
	return made
}
