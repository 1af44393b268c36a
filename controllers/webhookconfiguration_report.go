package controllers

import (
	"context"
	"slices"
	"sync"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

// Restoration is that the configuration was other than it should be.
type Restoration struct {
	// What is RestoredDeleted or RestoredEdited.
	What string
	// LastGood is when it was last seen in order.
	LastGood time.Time
	// Restored is when the API server had it in order again.
	Restored time.Time
}

// noticeTampering compares with what this replica wrote. What it does not know it cannot judge: after a change of
// leader, the first difference is put right without a report.
func (r *WebhookConfigurationReconciler) noticeTampering(ctx context.Context, live *admissionregistrationv1.ValidatingWebhookConfiguration) {
	written := r.written.Load()
	if written == nil || equality.Semantic.DeepEqual(live.Webhooks, written.webhooks) {
		return
	}
	r.written.Store(nil)
	r.tampered = &Restoration{What: RestoredEdited, LastGood: written.checked}
	if live.ResourceVersion == "" {
		r.tampered.What = RestoredDeleted
	}
	log.FromContext(ctx).Info("Restoring the webhook configuration, which somebody else changed; recording was not as asked for until now",
		"webhookConfiguration", WebhookConfigurationName, "what", r.tampered.What)
}

// reportRestored reports what somebody did, once it is put right.
func (r *WebhookConfigurationReconciler) reportRestored(at time.Time) {
	if r.tampered == nil {
		return
	}
	r.tampered.Restored = at
	if r.OnRestored != nil {
		r.OnRestored(*r.tampered)
	}
	r.tampered = nil
}

// reportChanged reports the trails of which the API server was told another spec, or, since they are suspended, none
// any more. A trail's first spec is no change, and what a leader before this one told is not known.
func (r *WebhookConfigurationReconciler) reportChanged(trails []v1alpha1.AuditTrail, set *rules.Set) {
	told := map[types.UID]*rules.CompiledTrail{}
	for _, trail := range set.Trails() {
		told[trail.UID] = trail
	}
	for i := range trails {
		trail := &trails[i]
		before, now := r.told[trail.UID], told[trail.UID]
		switch {
		case r.OnChanged == nil || before == nil:
		case now == nil && trail.DeletionTimestamp.IsZero():
			r.OnChanged(before, trail.Generation, true)
		case now != nil && now.Generation != before.Generation:
			r.OnChanged(now, now.Generation, false)
		}
	}
	r.told = told
}

// maxOwnVersions is how many of its writes a replica remembers, until the watch has shown them.
const maxOwnVersions = 64

// ownVersions are the resourceVersions of the latest own writes.
type ownVersions struct {
	mu       sync.Mutex
	versions []string
}

func (o *ownVersions) add(version string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.versions = append(o.versions, version)
	if len(o.versions) > maxOwnVersions {
		o.versions = slices.Delete(o.versions, 0, 1)
	}
}

// Wrote reports whether this replica wrote the configuration of this resourceVersion, not long ago.
func (r *WebhookConfigurationReconciler) Wrote(resourceVersion string) bool {
	return r.own.has(resourceVersion)
}

func (o *ownVersions) has(version string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Contains(o.versions, version)
}
