package recorder

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

const operatorUsername = "system:serviceaccount:trailkeeper-system:trailkeeper-manager"

// noticeRig is an Announcer that runs until the test ends, in a bubble.
type noticeRig struct {
	*Announcer
	store *fakeStore
}

func newNoticeRig(t *testing.T, trails ...v1alpha1.AuditTrail) *noticeRig {
	t.Helper()
	set := &rules.Store{}
	set.Swap(rules.Compile(trails, rules.Options{OperatorNamespace: operatorNamespace}))
	r := &noticeRig{store: &fakeStore{}}
	r.Announcer = NewAnnouncer(NewNotices(set, r.store, operatorUsername, "replica-1"), clock.RealClock{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Start(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

// told are the notices, of each reason and trail in order.
func (r *noticeRig) told(reason v1alpha1.NoticeReason, trail string) []v1alpha1.Notice {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	var list []v1alpha1.Notice
	for i := range r.store.events {
		if spec := &r.store.events[i].Spec; spec.Notice.Reason == reason && spec.TrailRef.Name == trail {
			list = append(list, *spec.Notice)
		}
	}
	return list
}

func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func ref(name string) v1alpha1.TrailReference {
	return v1alpha1.TrailReference{Namespace: "shop", Name: name, UID: "shop-" + name}
}

func TestLossesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		r := newNoticeRig(t, newTrail("shop", "a"), newTrail("shop", "b"))
		began := time.Now()
		r.store.fail(errStore)
		for range 5 {
			r.Lost(ref("a"), time.Now())
			wait(time.Second)
		}
		r.Lost(ref("b"), time.Now())
		wait(time.Minute)
		g.Expect(r.store.events).To(BeEmpty())
		r.store.fail(nil)
		wait(time.Minute)

		gap := r.told(v1alpha1.NoticeGap, "a")
		g.Expect(gap).To(HaveLen(1))
		g.Expect(*gap[0].Count).To(BeEquivalentTo(5))
		g.Expect(gap[0].Start.Time).To(BeTemporally("==", began))
		g.Expect(gap[0].End.Time).To(BeTemporally("==", began.Add(4*time.Second)))
		g.Expect(gap[0].Message).To(ContainSubstring("Replica replica-1 could record 5 events nowhere"))
		g.Expect(r.told(v1alpha1.NoticeGap, "b")).To(HaveLen(1))
	})
}

func TestAStormIsToldTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		r := newNoticeRig(t, newTrail("shop", "a"))
		for i := range 300 {
			r.Restored("edited", time.Now(), time.Now().Add(time.Millisecond))
			r.Changed(ref("a"), int64(i), "changed")
			wait(100 * time.Millisecond)
		}
		wait(20 * time.Second)
		g.Expect(len(r.told(v1alpha1.NoticeConfigurationRestored, "a"))).To(BeNumerically("<=", 5))
		g.Expect(len(r.told(v1alpha1.NoticeGap, "a"))).To(BeNumerically("<=", 5))
		changed := r.told(v1alpha1.NoticeConfigurationChanged, "a")
		g.Expect(len(changed)).To(BeNumerically("<=", 5))
		g.Expect(r.changes).To(BeEmpty(), "the last is told")
	})
}

func TestWindowsAreToldToWhoWasThere(t *testing.T) {
	g := NewWithT(t)
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	made := func(at time.Duration) func(*v1alpha1.AuditTrail) {
		return func(trail *v1alpha1.AuditTrail) { trail.CreationTimestamp = metav1.NewTime(start.Add(at)) }
	}
	set := &rules.Store{}
	set.Swap(rules.Compile([]v1alpha1.AuditTrail{
		newTrail("shop", "old", made(-time.Hour)), newTrail("shop", "strict", failing),
		newTrail("shop", "inside", made(10*time.Second)), newTrail("shop", "young", made(59*time.Second+500*time.Millisecond)),
	}, rules.Options{OperatorNamespace: operatorNamespace}))
	store := &fakeStore{}
	notices := NewNotices(set, store, operatorUsername, "replica-1")

	g.Expect(notices.Absent(t.Context(), start, start.Add(time.Minute))).To(Succeed())
	g.Expect(notices.Absent(t.Context(), start, start.Add(time.Minute))).To(Succeed())

	names := map[string]bool{}
	starts := map[string]time.Time{}
	for i := range store.events {
		spec := &store.events[i].Spec
		names[store.events[i].Name] = true
		starts[spec.TrailRef.Name] = spec.Notice.Start.Time
		g.Expect(spec.Action).To(Equal(v1alpha1.ActionNotice))
		g.Expect(spec.Actor.Type).To(Equal(v1alpha1.ActorServiceAccount))
		g.Expect(spec.ID).To(Equal(store.events[0].Spec.ID), "one happening has one id")
		if spec.TrailRef.Name == "strict" {
			g.Expect(spec.Notice.Message).To(ContainSubstring("changes were refused"))
		} else {
			g.Expect(spec.Notice.Message).To(ContainSubstring("changes may be missing"))
		}
	}
	g.Expect(starts).To(HaveLen(3))
	g.Expect(starts["old"]).To(Equal(start))
	g.Expect(starts["strict"]).To(Equal(start))
	g.Expect(starts["inside"]).To(Equal(start.Add(10 * time.Second)))
	g.Expect(names).To(HaveLen(3), "told again, they have the same names")
}

func TestOnlyAdmittedChangesCountAsLost(t *testing.T) {
	g := NewWithT(t)
	r := newRig(newTrail("shop", "a"), newTrail("shop", "strict", failing))
	r.store.fail(errStore)

	r.ask(t, v1alpha1.FailurePolicyIgnore, update())
	r.ask(t, v1alpha1.FailurePolicyFail, update())

	g.Expect(r.lost).To(Equal([]string{"shop/a"}))
}
