package controllers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/awsauth"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/conditions"
	"github.com/trailkeeper/trailkeeper/internal/fault"
	"github.com/trailkeeper/trailkeeper/internal/follow"
	"github.com/trailkeeper/trailkeeper/internal/patch"
)

// recorded tells whether the API server has been told to send what a trail asks for.
type recorded interface {
	// Recorded is true when the webhook configuration includes the trail at its present generation.
	Recorded(trail *v1alpha1.AuditTrail) bool
}

// drainer is what delivers a trail's events.
type drainer interface {
	// Drained is true when nothing that was recorded for the trail waits to be pushed.
	Drained(ctx context.Context, trail *v1alpha1.AuditTrail) (bool, error)
	// Closed is true when the trail's ledger vouches for all that was pushed.
	Closed(trail *v1alpha1.AuditTrail) bool
}

// follower tells IdentityChanged when what a trail refers to changes.
type follower interface {
	Follow(ctx context.Context, trail types.NamespacedName, objects ...follow.Object)
	Forget(trail types.NamespacedName)
}

// eventRecorder emits Kubernetes Events; the manager's event recorder is one.
type eventRecorder interface {
	Eventf(regarding, related runtime.Object, eventType, reason, action, note string, args ...any)
}

// TrailReconciler brings AuditTrails into the state that their status describes: an identity that AWS accepts, a log
// group and a log stream, recording. Every field is required.
type TrailReconciler struct {
	Client client.Client
	// Reader reads trails live. The status holds what cannot be found out again (who made the stream, the account),
	// and a cache that lags behind our own last write would lose it.
	Reader client.Reader
	Events eventRecorder
	Clock  clock.PassiveClock

	Auth     *awsauth.Authenticator
	Streams  *cloudwatch.Opener
	Recorded recorded
	Drainer  drainer
	Follower follower

	// OperatorNamespace is where trails have tenant scope.
	OperatorNamespace string

	// DrainTimeout is how long a deleted trail waits for AWS at most. Past it the trail goes, because an unreachable
	// destination must not keep a namespace from being deleted.
	DrainTimeout time.Duration

	// AWSTimeout bounds what one reconcile waits for AWS; 0 stands for 45 seconds.
	AWSTimeout time.Duration

	limits   *limits
	slow     slowLane
	checks   checkSchedule
	settings settingsMemory
	proofs   proofMemory
	// queue is the controller's own, once it has started.
	queue atomic.Pointer[requestQueue]
}

// +kubebuilder:rbac:groups=audit.trailkeeper.dev,resources=audittrails,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=audit.trailkeeper.dev,resources=audittrails/status,verbs=patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager registers the reconciler.
func (r *TrailReconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.limits = newLimits()
	return ctrl.NewControllerManagedBy(mgr).
		Named("trail").
		For(&v1alpha1.AuditTrail{}, builder.WithPredicates(trailChanged())).
		Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(r.grantsChanged)).
		WatchesRawSource(r.keepQueue()).
		WithOptions(controller.Options{MaxConcurrentReconciles: trailWorkers}).
		Complete(r)
}

// step brings one thing about a trail into being and sets its condition.
type step func(context.Context, *v1alpha1.AuditTrail) error

// Reconcile implements reconcile.Reconciler.
func (r *TrailReconciler) Reconcile(ctx context.Context, request ctrl.Request) (result ctrl.Result, err error) {
	if r.checks.unreachable(request.NamespacedName) {
		if !r.slow.enter() {
			return ctrl.Result{RequeueAfter: jittered(slowRetry)}, nil
		}
		defer r.slow.leave()
	}
	trail := &v1alpha1.AuditTrail{}
	if err := r.Reader.Get(ctx, request.NamespacedName, trail); err != nil {
		if client.IgnoreNotFound(err) == nil {
			r.forget(request.NamespacedName)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, fmt.Errorf("getting trail %s: %w", request, err)
	}
	// Before anything is read of what it refers to, so that no later change is missed.
	r.Follower.Follow(ctx, request.NamespacedName, references(trail)...)
	before := trail.DeepCopy()
	defer func() { err = errors.Join(err, r.patchStatus(ctx, before, trail)) }()

	if !trail.DeletionTimestamp.IsZero() {
		return r.reconcileDeletion(ctx, trail)
	}
	if err := r.addFinalizer(ctx, trail); err != nil {
		return ctrl.Result{}, err
	}
	var failed error
	if !r.onlyAwaitsRecording(trail) {
		failed = r.verify(ctx, trail)
	}
	// Recording does not wait for AWS: events are kept until they can be pushed. Its error comes first, because it
	// is the one to look at again soon.
	pending := r.checkRecording(ctx, trail)
	r.summarize(trail, failed)
	result = r.next(ctx, trail, errors.Join(pending, failed))
	if pending != nil && failed == nil {
		r.checks.verified(request.NamespacedName)
	}
	return result, nil
}

// onlyAwaitsRecording says whether AWS was asked a moment ago and found in order, so that only the webhook configuration is
// looked at again. It is polled often, and AWS must not be.
func (r *TrailReconciler) onlyAwaitsRecording(trail *v1alpha1.AuditTrail) bool {
	return r.checks.wasVerified(client.ObjectKeyFromObject(trail), trail.Generation, r.Clock.Now()) &&
		stateOf(trail, v1alpha1.CredentialsValidCondition) == metav1.ConditionTrue &&
		stateOf(trail, v1alpha1.DestinationReadyCondition) == metav1.ConditionTrue
}

// verify takes the steps that need AWS, up to the first that fails.
func (r *TrailReconciler) verify(ctx context.Context, trail *v1alpha1.AuditTrail) error {
	steps := []step{r.setScope, r.verifyIdentity, r.ensureDestination, r.ensureSettings}
	if suspended(trail) {
		steps = []step{r.setScope}
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(r.AWSTimeout, awsTimeout))
	defer cancel()
	if r.limits != nil && trail.Spec.CloudWatch != nil {
		if err := r.limits.verify.Wait(ctx); err != nil {
			return fmt.Errorf("waiting until AWS may be asked: %w", err)
		}
	}
	for _, run := range steps {
		if err := run(ctx, trail); err != nil {
			if awsauth.Rejected(err) {
				r.Auth.Forget(trail) // What AWS refuses before it expires is not used again.
			}
			return err
		}
	}
	return nil
}

// next says when to look again. A failure of AWS is not returned as an error: its condition tells the user, and the
// schedule of checks is AWS's rather than the workqueue's.
func (r *TrailReconciler) next(ctx context.Context, trail *v1alpha1.AuditTrail, failed error) ctrl.Result {
	key, now := client.ObjectKeyFromObject(trail), r.Clock.Now()
	if failed == nil {
		after := r.checks.succeeded(key)
		if soon, ok := r.settings.untilRetry(key, now); ok {
			after = min(after, soon)
		}
		return ctrl.Result{RequeueAfter: after}
	}
	found, classified := fault.As(failed)
	if classified && found.Terminal {
		r.checks.forget(key)
		return ctrl.Result{}
	}
	after := r.checks.failed(key, trail.Generation, now, failed)
	if classified {
		after = max(after, found.After)
	} else {
		log.FromContext(ctx).Error(failed, "Retrying trail", "trail", key, "after", after)
	}
	return ctrl.Result{RequeueAfter: after}
}

// forget drops what this replica remembers of a trail that is gone.
func (r *TrailReconciler) forget(trail types.NamespacedName) {
	r.Follower.Forget(trail)
	r.checks.forget(trail)
	r.settings.forget(trail)
	r.proofs.forget(trail)
}

func (r *TrailReconciler) addFinalizer(ctx context.Context, trail *v1alpha1.AuditTrail) error {
	return r.patchMetadata(ctx, trail, func() { controllerutil.AddFinalizer(trail, v1alpha1.TrailFinalizer) })
}

// patchMetadata patches what change does to the trail's metadata, if anything. The resourceVersion goes along, because
// finalizers are a list that a merge patch replaces. The status of trail stays as it is in memory.
func (r *TrailReconciler) patchMetadata(ctx context.Context, trail *v1alpha1.AuditTrail, change func()) error {
	base := trail.DeepCopy()
	change()
	if equality.Semantic.DeepEqual(base.ObjectMeta, trail.ObjectMeta) {
		return nil
	}
	patched := trail.DeepCopy()
	patched.Status = base.Status
	diff := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, patched, diff); err != nil {
		return fmt.Errorf("patching the finalizers of trail %s: %w", client.ObjectKeyFromObject(trail), err)
	}
	trail.ObjectMeta = patched.ObjectMeta
	return nil
}

// patchStatus applies what changed, once, and emits the Events of transitions. status.delivery, status.ledger
// and the condition Delivering are delivery's: they are neither compared nor sent (see package patch).
func (r *TrailReconciler) patchStatus(ctx context.Context, before, trail *v1alpha1.AuditTrail) error {
	conditions.KeepTransitions(before, trail)
	had, has := ownStatus(before), ownStatus(trail)
	if equality.Semantic.DeepEqual(had, has) {
		return nil
	}
	if err := patch.Status(ctx, r.Client, patch.TrailOwner, trail, has); err != nil {
		return client.IgnoreNotFound(err) // Its last finalizer is gone.
	}
	r.emitTransitions(before, trail)
	return nil
}

func ownStatus(trail *v1alpha1.AuditTrail) v1alpha1.AuditTrailStatus {
	own := trail.DeepCopy()
	own.Status.Delivery, own.Status.Ledger = nil, nil
	conditions.Remove(own, v1alpha1.DeliveringCondition)
	return own.Status
}
