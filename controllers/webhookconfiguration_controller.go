package controllers

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

// WebhookConfigurationName is the one ValidatingWebhookConfiguration that the operator owns.
const WebhookConfigurationName = "trailkeeper-recorder"

// What OnRestored is told.
const (
	RestoredDeleted = "deleted"
	RestoredEdited  = "edited"
)

// checkEvery is how often the configuration is read although no watch speaks of it: when it was tampered with, it is
// known to have been in order so long before at most.
const checkEvery = 10 * time.Second

// WebhookConfigurationReconciler keeps the API server sending exactly what the trails ask for. It runs on the leader and
// is the configuration's only writer: whatever anybody else makes of it is put right.
//
// Without an active trail the configuration stays, with an empty list: the operator then needs no right to delete, and
// its right to create, which RBAC cannot limit to a name, is used once.
type WebhookConfigurationReconciler struct {
	// Client reads trails from the cache and writes the configuration.
	Client client.Client
	// APIReader reads the configuration from the API server. The cache lags behind our own writes, and what it still
	// shows then would look like somebody's edit.
	APIReader client.Reader
	// Options say whose trails are tenant trails and who the operator is.
	Options rules.Options
	// Endpoint is where the recorder is: ServiceEndpoint or URLEndpoint.
	Endpoint func(path string) admissionregistrationv1.WebhookClientConfig
	// CABundle is the PEM of the authority that signs the recorder's certificate. While it is empty nothing is written.
	CABundle func() []byte
	// CertificatesChanged gets an event, whatever it holds, when CABundle returns something else.
	CertificatesChanged <-chan event.GenericEvent
	// Settle is how long the API server and the other replicas may take to follow a change.
	Settle time.Duration
	// OnRestored is told that the configuration was put right after somebody deleted or edited it. It may be nil.
	OnRestored func(Restoration)
	// OnChanged is told that the API server was given another spec of a trail, or, with suspended, none any more. It may
	// be nil.
	OnChanged func(trail *rules.CompiledTrail, generation int64, suspended bool)
	// Stopping says that this replica was told to stop. It then leaves a configuration deleted: so it is when the operator is
	// uninstalled, and otherwise the next leader makes it again. It may be nil.
	Stopping func() bool

	// written is what this replica knows to be in force. It is nil until the first write or check.
	written atomic.Pointer[writtenConfiguration]
	// tampered is what somebody did, until it is put right.
	tampered *Restoration
	// own are the versions that this replica wrote.
	own ownVersions
	// told are the trails that the API server was told of last. It is nil until this replica told it something.
	told map[types.UID]*rules.CompiledTrail
}

// inclusion is a trail's place in the configuration.
type inclusion struct {
	generation int64
	since      time.Time
}

// writtenConfiguration is the configuration as the API server last confirmed it.
type writtenConfiguration struct {
	webhooks []admissionregistrationv1.ValidatingWebhook
	// included are the trails that it includes.
	included map[types.UID]inclusion
	// checked is when the API server had it so.
	checked time.Time
}

// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingwebhookconfigurations,verbs=create
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingwebhookconfigurations,resourceNames=trailkeeper-recorder,verbs=update
// +kubebuilder:rbac:groups=audit.trailkeeper.dev,resources=audittrails,verbs=get;list;watch

// Reconcile brings the configuration in line with the trails.
func (r *WebhookConfigurationReconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	bundle := r.CABundle()
	if len(bundle) == 0 {
		log.FromContext(ctx).V(1).Info("Waiting for the serving certificate before writing the webhook configuration")
		return reconcile.Result{}, nil
	}
	var trails v1alpha1.AuditTrailList
	if err := r.Client.List(ctx, &trails); err != nil {
		return reconcile.Result{}, fmt.Errorf("listing audit trails: %w", err)
	}
	set := rules.Compile(trails.Items, r.Options)
	desired := set.Webhooks(func(path string) admissionregistrationv1.WebhookClientConfig {
		config := r.Endpoint(path)
		config.CABundle = bundle
		return config
	})
	checked := time.Now()
	live, err := r.read(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	if live.ResourceVersion == "" && r.Stopping != nil && r.Stopping() {
		log.FromContext(ctx).Info("Leaving the webhook configuration deleted, because this replica stops", "webhookConfiguration", WebhookConfigurationName)
		return reconcile.Result{}, nil
	}
	r.noticeTampering(ctx, live)
	wrote, err := r.write(ctx, live, desired)
	if err != nil {
		return reconcile.Result{}, err
	}
	if wrote {
		checked = time.Now()
	}
	r.reportRestored(checked)
	r.reportChanged(trails.Items, set)
	r.written.Store(&writtenConfiguration{webhooks: live.Webhooks, included: r.includedIn(set), checked: checked})
	return reconcile.Result{RequeueAfter: checkEvery}, nil
}

// read returns the live configuration, empty and without a resourceVersion when there is none.
func (r *WebhookConfigurationReconciler) read(ctx context.Context) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	var live admissionregistrationv1.ValidatingWebhookConfiguration
	err := r.APIReader.Get(ctx, client.ObjectKey{Name: WebhookConfigurationName}, &live)
	if apierrors.IsNotFound(err) {
		return &admissionregistrationv1.ValidatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: WebhookConfigurationName},
		}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading webhook configuration %s: %w", WebhookConfigurationName, err)
	}
	return &live, nil
}

// write makes live what is desired, where it is not, and leaves in live what the API server made of it. It says whether
// it had to.
func (r *WebhookConfigurationReconciler) write(
	ctx context.Context, live *admissionregistrationv1.ValidatingWebhookConfiguration, desired []admissionregistrationv1.ValidatingWebhook,
) (wrote bool, _ error) {
	if equality.Semantic.DeepEqual(live.Webhooks, desired) {
		return false, nil
	}
	live.Webhooks = desired
	names := make([]string, 0, len(desired))
	for _, webhook := range desired {
		names = append(names, webhook.Name)
	}
	log.FromContext(ctx).Info("Writing the webhook configuration", "webhookConfiguration", WebhookConfigurationName, "webhooks", names)
	if live.ResourceVersion == "" {
		if err := r.Client.Create(ctx, live); err != nil {
			return false, fmt.Errorf("creating webhook configuration %s: %w", WebhookConfigurationName, err)
		}
		r.own.add(live.ResourceVersion)
		return true, nil
	}
	if err := r.Client.Update(ctx, live); err != nil {
		return false, fmt.Errorf("updating webhook configuration %s: %w", WebhookConfigurationName, err)
	}
	r.own.add(live.ResourceVersion)
	return true, nil
}

// includedIn are the trails in a set, and since when the configuration has included them.
func (r *WebhookConfigurationReconciler) includedIn(set *rules.Set) map[types.UID]inclusion {
	var before map[types.UID]inclusion
	if written := r.written.Load(); written != nil {
		before = written.included
	}
	now := time.Now()
	included := map[types.UID]inclusion{}
	for _, trail := range set.Trails() {
		known, ok := before[trail.UID]
		if !ok || known.generation != trail.Generation {
			known = inclusion{trail.Generation, now}
		}
		included[trail.UID] = known
	}
	return included
}

// Recorded reports whether the configuration in force includes the trail at its present generation, and has for long
// enough that the API server and the other replicas know. It is false for trails that want nothing (suspended, being
// deleted), on replicas that do not lead, and while the configuration is not as this replica wrote it.
func (r *WebhookConfigurationReconciler) Recorded(trail *v1alpha1.AuditTrail) bool {
	written := r.written.Load()
	if written == nil {
		return false
	}
	known, ok := written.included[trail.UID]
	return ok && known.generation == trail.Generation && time.Since(known.since) >= r.Settle
}
