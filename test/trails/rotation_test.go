package trails

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// rotation is how long the test is.
type rotation struct {
	// changes is how many are made at least: they go on until the last swap is done.
	changes int
	// every is the pause between two changes, and away how long the Secret is deleted.
	every, away time.Duration
}

// swaps is how often the Secret is swapped.
const swaps = 5

// TestRotationUnderLoad: changes go on while the Secret is swapped five times, and nothing is lost. Keys are replaced at AWS
// before the Secret has the new ones, so that each swap begins with records that are refused.
func TestRotationUnderLoad(t *testing.T) {
	g := NewWithT(t)
	size := rotation{changes: 500, every: 40 * time.Millisecond, away: 3 * time.Second}
	if soak() {
		size = rotation{changes: 5000, every: 20 * time.Millisecond, away: 30 * time.Second}
	}
	namespace := newNamespace(t, "rotation")
	allow(t, namespace, "secrets", secretName, "get", "list", "watch")
	putSecret(t, namespace, keys(newUser(namespace, 0)))
	trail := newTrail(namespace, byKeys())
	startTrail(t, trail, namespace)

	load := &load{
		namespace: namespace, turn: make(chan int, swaps), swapped: make(chan struct{}), random: rand.New(rand.NewPCG(7, 7)),
	}
	ctx, cancel := context.WithCancel(t.Context())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return load.run(ctx, size) })
	t.Cleanup(func() {
		cancel()
		_ = group.Wait() // For a test that failed before it asked.
	})
	for swap := range swaps {
		select {
		case <-load.turn:
		case <-ctx.Done():
		}
		before := load.made.Load()
		swapSecret(t, trail, swap, size.away)
		t.Logf("swap %d: %d changes were made meanwhile", swap, load.made.Load()-before)
	}
	close(load.swapped)
	g.Expect(group.Wait()).To(Succeed())

	g.Eventually(func(g Gomega) {
		names, repeated := delivered(g, trail)
		missing := 0
		for _, name := range load.names {
			if !names[name] {
				missing++
			}
		}
		t.Logf("%d changes, %d of them not delivered yet, %d records came twice", len(load.names), missing, repeated)
		g.Expect(missing).To(BeZero())
	}).WithTimeout(2 * patience).WithPolling(time.Second).Should(Succeed())
	g.Expect(len(load.names)).To(BeNumerically(">=", size.changes))
	expectReady(t, trail)
	g.Expect(trail.Status.Delivery.Rejected).To(BeZero())
}

// swapSecret does the swap of a number: new keys, a wrong key first, a trailing newline, a deletion, new keys.
func swapSecret(t *testing.T, trail *v1alpha1.AuditTrail, number int, away time.Duration) {
	t.Helper()
	g := NewWithT(t)
	user := newUser(trail.Namespace, number+1)
	expect(t, trail, v1alpha1.DeliveringCondition, isFalse, v1alpha1.ReasonInvalidAccessKey)
	data := keys(user)
	switch number {
	case 1:
		wrong := user
		wrong.SecretAccessKey = "not-the-secret-of-this-user"
		putSecret(t, trail.Namespace, keys(wrong))
		expect(t, trail, v1alpha1.DeliveringCondition, isFalse, v1alpha1.ReasonSignatureMismatch)
	case 2:
		for key := range data {
			data[key] += "\n"
		}
	case 3:
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: trail.Namespace, Name: secretName}}
		g.Expect(admin.Delete(t.Context(), secret)).To(Succeed())
		expect(t, trail, v1alpha1.DeliveringCondition, isFalse, v1alpha1.ReasonSecretNotFound)
		<-time.After(away) // The world outside, which does nothing for so long.
	}
	putSecret(t, trail.Namespace, data)
	expect(t, trail, credentialsValid, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	expect(t, trail, v1alpha1.DeliveringCondition, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
}

// load makes changes at an even pace, and says when it is time for a swap.
type load struct {
	namespace string
	random    *rand.Rand
	turn      chan int
	// swapped is closed after the last swap.
	swapped chan struct{}
	made    atomic.Int64
	// names are the objects that were made; they may be read after run.
	names []string
}

func (l *load) run(ctx context.Context, size rotation) error {
	ticker := time.NewTicker(size.every)
	defer ticker.Stop()
	for n := 0; n < size.changes || !l.isSwapped(); n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if part := size.changes / (swaps + 1); n > 0 && n%part == 0 && n/part <= swaps {
			l.turn <- n / part
		}
		made := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: fmt.Sprintf("change-%05d", n)},
			Data:       map[string]string{"value": fmt.Sprint(l.random.IntN(1000))},
		}
		if err := admin.Create(ctx, made); err != nil {
			return fmt.Errorf("making change %d: %w", n, err)
		}
		l.names = append(l.names, made.Name)
		l.made.Add(1)
	}
	return nil
}

func (l *load) isSwapped() bool {
	select {
	case <-l.swapped:
		return true
	default:
		return false
	}
}
