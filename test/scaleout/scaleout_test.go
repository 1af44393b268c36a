package scaleout

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// TestReplicasComeAndGo: while changes are made, replicas are added, restarted one by one, killed and frozen. What ends in
// good order repeats nothing.
func TestReplicasComeAndGo(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t, 30)
	w.expectShares(3, 3, 2)
	stop := w.work(4, 80*time.Millisecond)

	for _, replica := range []int{2, 1} {
		w.operator.Replica(replica).Stop()
	}
	w.expectShares(8, -1, -1)
	t.Log("scaled in to one replica")
	for _, replica := range []int{1, 2} {
		g.Expect(w.operator.Start(t.Context(), replica)).To(Succeed())
	}
	w.expectShares(3, 3, 2)
	t.Log("scaled out to three")
	for replica := range replicas {
		w.operator.Replica(replica).Stop()
		g.Expect(w.operator.Start(t.Context(), replica)).To(Succeed())
	}
	w.expectShares(3, 3, 2)
	t.Log("restarted one by one")
	stop()
	g.Expect(w.expectLedgers()).To(BeZero(), "a replica that stops in good order leaves nothing to repeat")
	g.Expect(w.refused).To(BeZero())

	stop = w.work(4, 80*time.Millisecond)
	for replica := range replicas {
		w.operator.Replica(replica).Kill()
		w.expectSharesOfTwo()
		g.Expect(w.operator.Start(t.Context(), replica)).To(Succeed())
		w.expectShares(3, 3, 2)
		t.Logf("killed replica %d", replica)
	}
	for replica := range replicas {
		g.Expect(w.operator.Replica(replica).Pause()).To(Succeed())
		w.expectSharesOfTwo()
		g.Expect(w.operator.Replica(replica).Resume()).To(Succeed())
		w.expectShares(3, 3, 2)
		t.Logf("froze replica %d", replica)
	}
	stop()
	w.expectLedgers()
}

// expectSharesOfTwo waits until the two replicas that are left hold everything.
func (w *world) expectSharesOfTwo() {
	w.t.Helper()
	w.expectShares(4, 4, -1)
}
