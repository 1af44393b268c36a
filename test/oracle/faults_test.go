package oracle

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// faulty is how many requests a test of a fault makes.
const faulty = 3000

// inTheLongForm skips a test otherwise.
func inTheLongForm(t *testing.T) {
	t.Helper()
	if !isSoak() {
		t.Skip("with TRAILKEEPER_SOAK=1")
	}
}

// TestOracleOneFaultAfterAnother: each comes when what the one before left behind is hardly done.
func TestOracleOneFaultAfterAnother(t *testing.T) {
	w := newWorld(t, options{replicas: 2, policy: v1alpha1.FailurePolicyFail})
	w.workThrough(size(2*faulty, 1200), w.kill(other), w.stopEtcd, w.kill(leader), w.restartAPIServer)
	w.expectTruth()
}

// TestOracleSlowWebhook: changes wait for seconds in the API server after their events were recorded, and others pass them.
func TestOracleSlowWebhook(t *testing.T) {
	w := newWorld(t, options{replicas: 2, policy: v1alpha1.FailurePolicyIgnore})
	w.denier.slowest.Store(int64(3 * time.Second))
	w.work(t.Context(), size(faulty, 400))
	w.expect(claimsWrong)
}

// TestOracleRollingRestart: replicas are told to stop one after the other, and nothing is lost and nothing refused.
func TestOracleRollingRestart(t *testing.T) {
	w := newWorld(t, options{replicas: 3, policy: v1alpha1.FailurePolicyFail})
	restart := func(replica int) func(context.Context) error {
		return func(ctx context.Context) error {
			w.operator.Replica(replica).Stop()
			return w.operator.Start(ctx, replica)
		}
	}
	w.workThrough(size(faulty, 900), restart(0), restart(1), restart(2))
	w.expectTruth()
	w.expectNoFailedCalls()
	for _, trail := range w.trails {
		NewWithT(t).Expect(w.gapsOf(NewWithT(t), trail)).To(BeEmpty(), "%s was told of a gap that there was not", trail.Name)
	}
}

func TestOracleReplicaKilled(t *testing.T) {
	inTheLongForm(t)
	for _, policy := range []v1alpha1.FailurePolicy{v1alpha1.FailurePolicyFail, v1alpha1.FailurePolicyIgnore} {
		t.Run(string(policy), func(t *testing.T) {
			w := newWorld(t, options{replicas: 2, policy: policy})
			w.workThrough(faulty, w.kill(other))
			w.expectTruth()
		})
	}
}

func TestOracleLeaderKilled(t *testing.T) {
	inTheLongForm(t)
	for _, policy := range []v1alpha1.FailurePolicy{v1alpha1.FailurePolicyFail, v1alpha1.FailurePolicyIgnore} {
		t.Run(string(policy), func(t *testing.T) {
			w := newWorld(t, options{replicas: 2, policy: policy})
			w.workThrough(faulty, w.kill(leader))
			w.expectTruth()
		})
	}
}

// leader and other are the replica to kill, of two.
func leader(leader int) int { return leader }

func other(leader int) int { return 1 - leader }

// kill ends a replica as kill -9 does, and starts it again some seconds later. What the killed replica was being asked
// then goes unrecorded under Ignore; the API server notices a moment later.
func (w *world) kill(chosen func(leader int) int) func(context.Context) error {
	return func(ctx context.Context) error {
		leader, err := w.operator.Leader(ctx)
		if err != nil {
			return err
		}
		replica := chosen(leader)
		began := time.Now()
		w.operator.Replica(replica).Kill()
		w.gaps = append(w.gaps, window{began.Add(-time.Second), time.Now().Add(100 * time.Millisecond)})
		pause(ctx, 5*time.Second)
		return w.operator.Start(ctx, replica)
	}
}

// TestOracleNobodyThere: what happens while no replica is alive goes unrecorded under Ignore, and nothing else does.
func TestOracleNobodyThere(t *testing.T) {
	inTheLongForm(t)
	w := newWorld(t, options{replicas: 2, policy: v1alpha1.FailurePolicyIgnore})
	var away window
	w.workThrough(faulty, func(ctx context.Context) error {
		began := time.Now()
		w.operator.Replica(0).Kill()
		w.operator.Replica(1).Kill()
		pause(ctx, 4*time.Second)
		if err := w.operator.Start(ctx, 0); err != nil {
			return err
		}
		away = window{began, time.Now()}
		return w.operator.Start(ctx, 1)
	})
	for _, trail := range w.trails {
		w.gaps = []window{w.told(trail)} // The same for each of them.
		NewWithT(t).Expect(w.gaps[0].from).To(BeTemporally("~", away.from, 3*time.Second), "%s: the last sign of life", trail.Name)
		NewWithT(t).Expect(w.gaps[0].to).To(BeTemporally("~", away.to, 3*time.Second), trail.Name)
	}
	w.expectTruth()
}

// told is the one gap that a trail was told of.
func (w *world) told(trail *v1alpha1.AuditTrail) window {
	w.t.Helper()
	var gaps []window
	NewWithT(w.t).Eventually(func(g Gomega) {
		gaps = w.gapsOf(g, trail)
		g.Expect(gaps).To(HaveLen(1))
	}).WithTimeout(30 * time.Second).WithPolling(time.Second).Should(Succeed())
	return gaps[0]
}

// gapsOf are all that a trail was told of.
func (w *world) gapsOf(g Gomega, trail *v1alpha1.AuditTrail) []window {
	var list v1alpha1.AuditEventList
	g.Expect(w.admin.List(w.t.Context(), &list, client.InNamespace(trail.Namespace),
		client.MatchingFields{v1alpha1.FieldTrail: trail.Name, v1alpha1.FieldAction: string(v1alpha1.ActionNotice)})).To(Succeed())
	var gaps []window
	for i := range list.Items {
		if notice := list.Items[i].Spec.Notice; notice.Reason == v1alpha1.NoticeGap {
			gaps = append(gaps, window{notice.Start.Time, notice.End.Time})
		}
	}
	return gaps
}

func TestOracleEtcdStopped(t *testing.T) {
	inTheLongForm(t)
	w := newWorld(t, options{replicas: 2, policy: v1alpha1.FailurePolicyFail})
	w.workThrough(faulty, w.stopEtcd)
	w.expectTruth()
}

func (w *world) stopEtcd(ctx context.Context) error {
	w.env.StopEtcd()
	pause(ctx, 3*time.Second)
	return w.env.StartEtcd(ctx)
}

func TestOracleAPIServerRestarted(t *testing.T) {
	inTheLongForm(t)
	w := newWorld(t, options{replicas: 2, policy: v1alpha1.FailurePolicyFail})
	w.workThrough(faulty, w.restartAPIServer)
	w.expectTruth()
}

// TestOracleEtcdFull: while etcd takes no writes deletions succeed, and their events wait in the replicas' files.
func TestOracleEtcdFull(t *testing.T) {
	inTheLongForm(t)
	w := newWorld(t, options{
		replicas: 2, policy: v1alpha1.FailurePolicyFail, etcdArgs: []string{"--quota-backend-bytes=67108864"},
		args: []string{"--leader-elect-lease-duration=4s"},
	})
	w.workThrough(faulty, func(ctx context.Context) error {
		filler, err := w.fillEtcd(ctx)
		if err != nil {
			return err
		}
		deleted := w.deleteFor(ctx, 15*time.Second)
		w.say("%d deletions while etcd was full", deleted)
		for i := range filler {
			if err := w.admin.Delete(ctx, &filler[i]); err != nil {
				return err
			}
		}
		return w.env.MakeRoomInEtcd(ctx)
	})
	w.expectTruth()
}

// deleteFor has people delete what they find for a while, and says how much that was.
func (w *world) deleteFor(ctx context.Context, while time.Duration) (deleted int) {
	until := time.Now().Add(while)
	for time.Now().Before(until) {
		for _, p := range w.people {
			maps, err := p.clients.CoreV1().ConfigMaps(teams[1]).List(ctx, metav1.ListOptions{})
			if err != nil || len(maps.Items) == 0 {
				continue
			}
			if p.clients.CoreV1().ConfigMaps(teams[1]).Delete(ctx, maps.Items[0].Name, metav1.DeleteOptions{}) == nil {
				deleted++
			}
		}
		pause(ctx, 100*time.Millisecond)
	}
	return deleted
}

// fillEtcd makes large objects until etcd takes no more.
func (w *world) fillEtcd(ctx context.Context) ([]corev1.ConfigMap, error) {
	large := strings.Repeat("x", 900<<10)
	var made []corev1.ConfigMap
	for {
		object := corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, GenerateName: "large-"}}
		object.Data = map[string]string{"x": large}
		switch err := w.admin.Create(ctx, &object); {
		case err == nil:
			made = append(made, object)
		case strings.Contains(err.Error(), "database space exceeded"):
			w.say("etcd is full after %d large objects", len(made))
			return made, nil
		default:
			return nil, fmt.Errorf("filling etcd: %w", err)
		}
	}
}

// workThrough has people make changes while steps are taken one after the other, at even distances.
func (w *world) workThrough(requests int64, steps ...func(context.Context) error) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	began := w.people[0].requests.Load()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.work(ctx, requests)
	}()
	for i, step := range steps {
		reached := began + requests*int64(i+1)/int64(len(steps)+1)
		for w.people[0].requests.Load() < reached {
			pause(ctx, 50*time.Millisecond)
		}
		w.say("step %d after %d requests", i+1, w.people[0].requests.Load()-began)
		if err := step(ctx); err != nil {
			cancel()
			<-done
			w.t.Fatalf("step %d: %v", i+1, err)
		}
		w.say("step %d done after %d requests", i+1, w.people[0].requests.Load()-began)
	}
	<-done
}

// expectNoFailedCalls makes sure that the API server could always ask the recorder.
func (w *world) expectNoFailedCalls() {
	w.t.Helper()
	g := NewWithT(w.t)
	entries, err := w.env.AuditLog()
	g.Expect(err).NotTo(HaveOccurred())
	var failed []string
	for i := range entries {
		if message := entries[i].ResponseStatus.Message; strings.Contains(message, "failed calling webhook") ||
			strings.Contains(message, "must record this change") {
			failed = append(failed, message)
		}
	}
	g.Expect(failed).To(BeEmpty())
}

// pause waits, or until the context ends.
func pause(ctx context.Context, while time.Duration) {
	timer := time.NewTimer(while)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
