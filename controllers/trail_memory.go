package controllers

import (
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/conditions"
)

const (
	// A setting that failed is tried again after a minute, and then less and less often: AWS allows five such calls a
	// second for all trails of an account.
	firstSettingRetry = time.Minute
	// lookEvery is how long a look at a log group, and a proof that a trail may write, hold without another one. It is
	// shorter than the interval of regular checks, so that each of those looks and proves anew.
	lookEvery = 10 * time.Minute
)

// doneSettings is what a replica has done to a trail's log group for one generation of its spec.
type doneSettings struct {
	retention, key, tags bool
	// created says that the group was created by the operator, and so with the trail's class.
	created bool
}

// settingsMemory remembers when log groups were looked at, so that AWS is not asked at each reconcile. No state of the
// trail depends on it: what it forgets is looked at once more. The zero value is ready to use.
type settingsMemory struct {
	mu    sync.Mutex
	looks map[types.NamespacedName]look
}

type look struct {
	uid        types.UID
	generation int64
	done       doneSettings
	again      time.Time
	// failures counts the looks since something last went well; 0 when the last one did.
	failures int
}

// begin says whether to look at the trail's log group now, and what was done to it before.
func (m *settingsMemory) begin(trail *v1alpha1.AuditTrail, now time.Time) (done doneSettings, due bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	last, ok := m.looks[client.ObjectKeyFromObject(trail)]
	if !ok || last.uid != trail.UID {
		return doneSettings{}, true
	}
	if last.generation != trail.Generation {
		return doneSettings{created: last.done.created}, true
	}
	return last.done, !now.Before(last.again)
}

// finish remembers a look, and says when the next one is due.
func (m *settingsMemory) finish(trail *v1alpha1.AuditTrail, done doneSettings, failed bool, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := look{uid: trail.UID, generation: trail.Generation, done: done, again: now.Add(lookEvery)}
	if failed {
		next.failures = 1
		if last := m.looks[client.ObjectKeyFromObject(trail)]; last.uid == trail.UID && last.generation == trail.Generation {
			next.failures = last.failures + 1
		}
		next.again = now.Add(min(firstSettingRetry<<min(next.failures-1, 4), lookEvery))
	}
	m.put(trail, next)
}

// postpone remembers that a look is still to be made, and soon.
func (m *settingsMemory) postpone(trail *v1alpha1.AuditTrail, done doneSettings, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(trail, look{uid: trail.UID, generation: trail.Generation, done: done, again: now.Add(jittered(lookRetry)), failures: 1})
}

// created remembers that the operator created the trail's log group, which has none of its settings yet.
func (m *settingsMemory) created(trail *v1alpha1.AuditTrail) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(trail, look{uid: trail.UID, generation: trail.Generation, done: doneSettings{created: true}})
}

func (m *settingsMemory) put(trail *v1alpha1.AuditTrail, next look) {
	if m.looks == nil {
		m.looks = map[types.NamespacedName]look{}
	}
	m.looks[client.ObjectKeyFromObject(trail)] = next
}

// untilRetry is how long to wait until what failed is tried again; ok is false when nothing did.
func (m *settingsMemory) untilRetry(trail types.NamespacedName, now time.Time) (after time.Duration, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.looks[trail]
	return max(last.again.Sub(now), slowRetry), last.failures > 0
}

func (m *settingsMemory) forget(trail types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.looks, trail)
}

// proofMemory remembers which trails were seen to be able to write. As settingsMemory, it only saves calls. The zero value
// is ready to use.
type proofMemory struct {
	mu     sync.Mutex
	proofs map[types.NamespacedName]proof
}

// proof is that an identity could write, for one generation of a trail's spec.
type proof struct {
	uid        types.UID
	generation int64
	identity   v1alpha1.CallerIdentity
	at         time.Time
}

// needed says whether the trail is to be probed: not when a probe succeeded lately, nor when a delivery did since then.
func (m *proofMemory) needed(trail *v1alpha1.AuditTrail, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	last, ok := m.proofs[client.ObjectKeyFromObject(trail)]
	if !ok || last.uid != trail.UID || last.generation != trail.Generation || last.identity != identityOf(trail) {
		return true
	}
	at := last.at
	if delivery := trail.Status.Delivery; delivery != nil && delivery.LastDeliveredTime != nil && delivers(trail) {
		at = later(at, delivery.LastDeliveredTime.Time)
	}
	return now.Sub(at) >= lookEvery
}

func (m *proofMemory) proven(trail *v1alpha1.AuditTrail, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.proofs == nil {
		m.proofs = map[types.NamespacedName]proof{}
	}
	m.proofs[client.ObjectKeyFromObject(trail)] = proof{
		uid: trail.UID, generation: trail.Generation, identity: identityOf(trail), at: now,
	}
}

func (m *proofMemory) forget(trail types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.proofs, trail)
}

func identityOf(trail *v1alpha1.AuditTrail) v1alpha1.CallerIdentity {
	if trail.Status.CallerIdentity == nil {
		return v1alpha1.CallerIdentity{}
	}
	return *trail.Status.CallerIdentity
}

func delivers(trail *v1alpha1.AuditTrail) bool {
	c := conditions.Get(trail, v1alpha1.DeliveringCondition)
	return c != nil && c.Status == metav1.ConditionTrue
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
