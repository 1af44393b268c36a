package controllers

import (
	"context"
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

// AttemptConfigurationReconciler keeps the API server asking about attempts on the record, while there are trails. It runs on
// the leader and is the only writer of the MutatingWebhookConfiguration of the operator's name.
//
// Nothing depends on it but that attempts are told of: the policies refuse them whatever becomes of it.
type AttemptConfigurationReconciler struct {
	// Client reads trails from the cache and writes the configuration; APIReader reads the configuration.
	Client    client.Client
	APIReader client.Reader
	// Options say who the operator is.
	Options rules.Options
	// Endpoint is where the recorder is.
	Endpoint func(path string) admissionregistrationv1.WebhookClientConfig
	// CABundle is the PEM of the authority that signs the recorder's certificate. While it is empty nothing is written.
	CABundle func() []byte
	// CertificatesChanged gets an event, whatever it holds, when CABundle returns something else.
	CertificatesChanged <-chan event.GenericEvent
	// Stopping says that this replica was told to stop. It then leaves a configuration deleted: so it is when the operator is
	// uninstalled. Nil is never.
	Stopping func() bool
	// OnRestored is told that the configuration was put right after somebody deleted or edited it.
	OnRestored func()

	// written is what this replica knows to be in force; nil before it knows.
	written []admissionregistrationv1.MutatingWebhook
	own     ownVersions
}

// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=mutatingwebhookconfigurations,verbs=create
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=mutatingwebhookconfigurations,resourceNames=trailkeeper-recorder,verbs=update

// SetupWithManager adds the reconciler to a manager whose cache was made with CacheByName.
func (r *AttemptConfigurationReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return keepConfiguration(mgr, "attemptconfiguration", &admissionregistrationv1.MutatingWebhookConfiguration{}, r.CertificatesChanged, r)
}

// Reconcile brings the configuration in line with whether there are trails.
func (r *AttemptConfigurationReconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	bundle := r.CABundle()
	if len(bundle) == 0 {
		return reconcile.Result{}, nil
	}
	var trails v1alpha1.AuditTrailList
	if err := r.Client.List(ctx, &trails); err != nil {
		return reconcile.Result{}, fmt.Errorf("listing audit trails: %w", err)
	}
	desired := rules.Compile(trails.Items, r.Options).Attempts(func(path string) admissionregistrationv1.WebhookClientConfig {
		config := r.Endpoint(path)
		config.CABundle = bundle
		return config
	})
	live := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: WebhookConfigurationName}}
	err := r.APIReader.Get(ctx, client.ObjectKeyFromObject(live), live)
	if client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("reading the webhook configuration of attempts: %w", err)
	}
	if apierrors.IsNotFound(err) && r.Stopping != nil && r.Stopping() {
		return reconcile.Result{}, nil
	}
	tampered := r.written != nil && !equality.Semantic.DeepEqual(live.Webhooks, r.written)
	if err := r.write(ctx, live, apierrors.IsNotFound(err), desired); err != nil {
		return reconcile.Result{}, err
	}
	r.written = slices.Clone(live.Webhooks)
	if tampered {
		log.FromContext(ctx).Info("Restored the webhook configuration of attempts, which somebody else changed",
			"webhookConfiguration", WebhookConfigurationName)
		r.OnRestored()
	}
	return reconcile.Result{RequeueAfter: checkEvery}, nil
}

// write makes live what is desired, where it is not, and leaves in live what the API server made of it.
func (r *AttemptConfigurationReconciler) write(
	ctx context.Context, live *admissionregistrationv1.MutatingWebhookConfiguration, missing bool, desired []admissionregistrationv1.MutatingWebhook,
) error {
	if equality.Semantic.DeepEqual(live.Webhooks, desired) {
		return nil
	}
	live.Webhooks = desired
	write := func() error { return r.Client.Update(ctx, live) }
	if missing {
		write = func() error { return r.Client.Create(ctx, live) }
	}
	if err := write(); err != nil {
		return fmt.Errorf("writing the webhook configuration of attempts: %w", err)
	}
	r.own.add(live.ResourceVersion)
	return nil
}

// Wrote reports whether this replica wrote the configuration of this resourceVersion, not long ago.
func (r *AttemptConfigurationReconciler) Wrote(resourceVersion string) bool {
	return r.own.has(resourceVersion)
}
