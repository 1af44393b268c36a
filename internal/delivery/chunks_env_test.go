package delivery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// away takes the destination away until the returned function is called.
func (r *rig) away() (back func()) {
	return r.sim.Inject(cloudsim.Fault{Action: "PutLogEvents", Effect: cloudsim.Unavailable})
}

// small has events packed early, into small chunks.
func small(o *Options) {
	o.Limits = Limits{Single: 80, After: 50 * time.Millisecond}
}

// leadSmall starts a replica that packs early.
func (r *rig) leadSmall(t *testing.T, change ...func(*Options)) *leader {
	t.Helper()
	return r.lead(t, append([]func(*Options){small}, change...)...)
}

// chunks are those of a trail, oldest first, with their events.
func (r *rig) chunks(g Gomega, trail *v1alpha1.AuditTrail) []v1alpha1.AuditEventChunk {
	var list v1alpha1.AuditEventChunkList
	g.Expect(r.List(context.Background(), &list, client.InNamespace(operatorNamespace),
		client.MatchingLabels{v1alpha1.TrailUIDLabel: string(trail.UID)})).To(Succeed())
	return list.Items
}

// singles is how many AuditEvents there are.
func (r *rig) singles(g Gomega) int {
	var list v1alpha1.AuditEventList
	g.Expect(r.List(context.Background(), &list, client.InNamespace(r.namespace))).To(Succeed())
	return len(list.Items)
}

// packs waits until few events are left singly, and returns how many are packed.
func (r *rig) packs(t *testing.T, trail *v1alpha1.AuditTrail, all int) (packed int) {
	t.Helper()
	g := NewWithT(t)
	g.Eventually(func(g Gomega) {
		packed = 0
		for _, chunk := range r.chunks(g, trail) {
			packed += int(chunk.Spec.Count)
		}
		left := r.singles(g)
		g.Expect(left).To(BeNumerically("<=", 80))
		g.Expect(packed + left).To(Equal(all))
		status := r.read(t, trail).Status.Delivery
		g.Expect(status).To(And(HaveField("Packed", BeEquivalentTo(packed)), HaveField("Pending", BeEquivalentTo(all))))
	}, patience, 50*time.Millisecond).Should(Succeed())
	return packed
}

// TestPacksWhatWaitsForLong: past the limit the oldest events are packed, and arrive first when the destination is back.
func TestPacksWhatWaitsForLong(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	trail := r.trail(t)
	back := r.away()
	l := r.leadSmall(t)
	l.maxChunk = 4 << 10
	r.serve(t, l, trail)
	names := r.record(t, trail, 0, 240)
	r.packs(t, trail, 240)
	names = append(names, r.record(t, trail, 240, 160)...)
	packed := r.packs(t, trail, 400)
	chunks := r.chunks(g, trail)
	g.Expect(len(chunks)).To(BeNumerically(">", 2))
	for i := range chunks[1:] {
		last, err := apijson.ParseVersion(chunks[i].Spec.LastResourceVersion)
		g.Expect(err).NotTo(HaveOccurred())
		first, err := apijson.ParseVersion(chunks[i+1].Spec.FirstResourceVersion)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(last).To(BeNumerically("<", first))
	}
	delivering := meta.FindStatusCondition(r.read(t, trail).Status.Conditions, v1alpha1.DeliveringCondition)
	g.Expect(delivering).To(And(HaveField("Status", metav1.ConditionFalse),
		HaveField("Message", ContainSubstring(fmt.Sprintf("about 400 events wait, %d of them packed", roughly(int64(packed)))))))

	back()
	names = append(names, r.record(t, trail, 400, 20)...)
	g.Expect(r.expect(t, trail, names)).To(BeZero())
	g.Eventually(func(g Gomega) {
		g.Expect(r.chunks(g, trail)).To(BeEmpty())
		g.Expect(r.read(t, trail).Status.Delivery).To(And(HaveField("Pending", BeZero()), HaveField("Packed", BeZero()),
			HaveField("Delivered", BeEquivalentTo(420))))
	}, patience, 50*time.Millisecond).Should(Succeed())
}

// faulty is a client whose writes of chunks and deletions fail when a test says so.
type faulty struct {
	client.Client
	create, remove func(object client.Object, do func() error) error
}

func (f faulty) Create(ctx context.Context, object client.Object, options ...client.CreateOption) error {
	return f.create(object, func() error { return f.Client.Create(ctx, object, options...) })
}

func (f faulty) Delete(ctx context.Context, object client.Object, options ...client.DeleteOption) error {
	return f.remove(object, func() error { return f.Client.Delete(ctx, object, options...) })
}

// TestACrashWhilePackingLosesNothing: wherever a replica ends between storing a chunk and deleting it again, the next one
// delivers every event once and in order.
func TestACrashWhilePackingLosesNothing(t *testing.T) {
	isChunk := func(object client.Object) bool { _, ok := object.(*v1alpha1.AuditEventChunk); return ok }
	var writes, deletes atomic.Int32
	pass := func(_ client.Object, do func() error) error { return do() }
	tests := map[string]struct {
		create, remove func(object client.Object, do func() error) error
		// late says that the crash comes when the destination is back.
		late bool
	}{
		"before the second chunk is stored": {
			create: func(_ client.Object, do func() error) error {
				if writes.Add(1) > 1 {
					return errDead
				}
				return do()
			},
			remove: pass,
		},
		"after a chunk is stored": {
			create: func(_ client.Object, do func() error) error { return errors.Join(do(), errDead) },
			remove: pass,
		},
		"before its events are deleted": {
			create: pass,
			remove: func(client.Object, func() error) error { return errDead },
		},
		"while its events are deleted": {
			create: pass,
			remove: func(_ client.Object, do func() error) error {
				if deletes.Add(1) > 12 {
					return errDead
				}
				return do()
			},
		},
		"before a delivered chunk is deleted": {
			create: pass,
			remove: func(object client.Object, do func() error) error {
				if isChunk(object) {
					return errDead
				}
				return do()
			},
			late: true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			writes.Store(0)
			deletes.Store(0)
			r := newRig(t)
			trail := r.trail(t)
			back := r.away()
			names := r.record(t, trail, 0, 200)
			first := r.leadSmall(t, func(o *Options) { o.Client = faulty{o.Client, test.create, test.remove} })
			first.maxChunk = 2 << 10
			r.serve(t, first, trail)
			g.Eventually(func(g Gomega) []v1alpha1.AuditEventChunk { return r.chunks(g, trail) }, patience, 20*time.Millisecond).
				ShouldNot(BeEmpty())
			if test.late {
				r.packs(t, trail, 200)
				back()
				r.expect(t, trail, names)
				g.Eventually(func() *v1alpha1.DeliveryStatus { return r.read(t, trail).Status.Delivery }, patience, 20*time.Millisecond).
					Should(HaveField("Sequence", BeEquivalentTo(200)))
			}
			first.kill()

			second := r.leadSmall(t)
			r.serve(t, second, trail)
			if !test.late {
				r.packs(t, trail, 200)
				back()
			}
			names = append(names, r.record(t, trail, 200, 10)...)
			g.Expect(r.expect(t, trail, names)).To(BeZero())
			if !test.late {
				g.Eventually(func(g Gomega) { g.Expect(r.chunks(g, trail)).To(BeEmpty()) }, patience, 50*time.Millisecond).Should(Succeed())
			}
		})
	}
}

// TestAKilledLeaderReplaysWhatWasPacked: identical in all that is hashed.
func TestAKilledLeaderReplaysWhatWasPacked(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	trail := r.trail(t)
	back := r.away()
	names := r.record(t, trail, 0, 200)
	first := r.leadSmall(t)
	r.serve(t, first, trail)
	r.packs(t, trail, 200)
	first.dead.Store(true)
	back()
	g.Eventually(func() int { return len(r.messages(trail)) }, patience, 20*time.Millisecond).Should(BeNumerically(">", 0))
	first.kill()
	g.Expect(r.chunks(g, trail)).NotTo(BeEmpty(), "a chunk is kept until the cursor is written")

	r.serve(t, r.leadSmall(t), trail)
	names = append(names, r.record(t, trail, 200, 1)...)
	g.Expect(r.expect(t, trail, names)).To(BeNumerically(">", 0))
}

// TestSaysThatNoMoreMayWait: and takes it back when there is room again.
func TestSaysThatNoMoreMayWait(t *testing.T) {
	for name, limit := range map[string]func(*Limits){
		"events": func(l *Limits) { l.Events = 160 },
		"bytes":  func(l *Limits) { l.Bytes = 1024 },
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			r := newRig(t)
			trail := r.trail(t)
			back := r.away()
			l := r.leadSmall(t, func(o *Options) { limit(&o.Limits) })
			r.serve(t, l, trail)
			names := r.record(t, trail, 0, 120)
			if name == "events" {
				r.packs(t, trail, 120)
				g.Expect(r.read(t, trail).BacklogIsFull()).To(BeFalse())
			}
			names = append(names, r.record(t, trail, 120, 60)...)
			g.Eventually(func(g Gomega) {
				fresh := r.read(t, trail)
				g.Expect(fresh.BacklogIsFull()).To(BeTrue())
				g.Expect(meta.FindStatusCondition(fresh.Status.Conditions, v1alpha1.DeliveringCondition)).
					To(HaveField("Message", ContainSubstring("no more are recorded")))
			}, patience, 20*time.Millisecond).Should(Succeed())
			back()
			r.expect(t, trail, names)
			g.Eventually(func() bool { return r.read(t, trail).BacklogIsFull() }, patience, 20*time.Millisecond).Should(BeFalse())
		})
	}
}

// TestIsNotDrainedWhileEventsArePacked: a trail that is deleted waits for them too.
func TestIsNotDrainedWhileEventsArePacked(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	trail := r.trail(t, kept)
	back := r.away()
	l := r.leadSmall(t, func(o *Options) { o.Limits.Single = 1 })
	names := r.record(t, trail, 0, 50)
	r.serve(t, l, trail)
	g.Eventually(func(g Gomega) { g.Expect(r.singles(g)).To(BeZero()) }, patience, 20*time.Millisecond).Should(Succeed())
	g.Expect(r.Delete(t.Context(), trail)).To(Succeed())
	r.serve(t, l, trail)
	drained := func() (bool, error) { return l.Drained(t.Context(), r.read(t, trail)) }
	g.Consistently(drained, 500*time.Millisecond, 20*time.Millisecond).Should(BeFalse())
	back()
	r.expect(t, trail, names)
	g.Eventually(drained, patience, 20*time.Millisecond).Should(BeTrue())
}

// TestStopsAtADamagedChunk: and says so, rather than going on with a hole.
func TestStopsAtADamagedChunk(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	trail := r.trail(t)
	back := r.away()
	first := r.leadSmall(t)
	names := r.record(t, trail, 0, 120)
	r.serve(t, first, trail)
	r.packs(t, trail, 120)
	first.stop()
	intact := r.chunks(g, trail)[0]
	damaged := intact.DeepCopy()
	damaged.ResourceVersion, damaged.UID = "", ""
	damaged.Spec.Data[len(damaged.Spec.Data)/2] ^= 1
	g.Expect(r.Delete(t.Context(), &intact)).To(Succeed())
	g.Expect(r.Create(t.Context(), damaged)).To(Succeed())
	back()

	r.serve(t, r.leadSmall(t), trail)
	g.Eventually(func() *metav1.Condition {
		return meta.FindStatusCondition(r.read(t, trail).Status.Conditions, v1alpha1.DeliveringCondition)
	}, patience, 20*time.Millisecond).Should(And(HaveField("Reason", v1alpha1.ReasonChunkUnreadable),
		HaveField("Message", ContainSubstring(damaged.Name))))
	g.Expect(r.messages(trail)).To(BeEmpty())

	g.Expect(r.Delete(t.Context(), damaged)).To(Succeed())
	intact.ResourceVersion, intact.UID = "", ""
	g.Expect(r.Create(t.Context(), &intact)).To(Succeed())
	g.Expect(r.expect(t, trail, names)).To(BeZero())
}

// TestDeliversChunksOfARestoredEtcd: when the cursor is ahead of the API server, everything counts again, packed or not.
func TestDeliversChunksOfARestoredEtcd(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	trail := r.trail(t)
	back := r.away()
	first := r.leadSmall(t)
	names := r.record(t, trail, 0, 120)
	r.serve(t, first, trail)
	r.packs(t, trail, 120)
	first.stop()
	fresh := r.read(t, trail)
	fresh.Status.Delivery.ResourceVersion = "1" + strings.Repeat("0", 15)
	g.Expect(r.Status().Update(t.Context(), fresh)).To(Succeed())
	back()
	second := r.leadSmall(t)
	r.serve(t, second, trail)
	g.Expect(r.expect(t, trail, names)).To(BeZero())
}

// TestNoticesThatAnotherReplicaPacked: what a replica was about to deliver may have been packed by one that was deposed
// without noticing.
func TestNoticesThatAnotherReplicaPacked(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	trail := r.trail(t)
	back := r.away()
	names := r.record(t, trail, 0, 120)
	second := r.lead(t)
	list := second.backlogOf(client.ObjectKeyFromObject(trail), trail.UID)
	list.limit = 1 // It holds one body, and reads the others one by one.
	opened(t, list, 0)

	first := r.leadSmall(t)
	r.serve(t, first, trail)
	r.packs(t, trail, 120)
	first.stop()
	var err error
	for events := []recorded.Event{{}}; err == nil && len(events) > 0; {
		events, err = list.take(t.Context(), 120)
	}
	g.Expect(err).To(MatchError(errPacked))
	back()
	r.serve(t, second, trail)
	g.Expect(r.expect(t, trail, names)).To(BeZero())
	links, _ := r.arrived(g, trail, ledger.Genesis(string(trail.UID)))
	g.Expect(links).To(HaveLen(120))
}
