package controllers

import (
	"context"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/awsauth"
)

// SetupWithManager adds the reconciler to a manager whose cache was made with CacheByName.
func (r *WebhookConfigurationReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return keepConfiguration(mgr, "webhookconfiguration", &admissionregistrationv1.ValidatingWebhookConfiguration{}, r.CertificatesChanged, r)
}

// keepConfiguration has a reconciler keep the configuration of the operator's name: when trails, certificates or the configuration
// itself change.
func keepConfiguration(
	mgr ctrl.Manager, name string, kind client.Object, certificates <-chan event.GenericEvent, r reconcile.Reconciler,
) error {
	configuration := enqueueOnly(WebhookConfigurationName)
	named := predicate.NewPredicateFuncs(func(object client.Object) bool { return object.GetName() == WebhookConfigurationName })
	return ctrl.NewControllerManagedBy(mgr).
		Named(name).
		Watches(&v1alpha1.AuditTrail{}, configuration, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(kind, configuration, builder.WithPredicates(named)).
		WatchesRawSource(source.Channel(certificates, configuration)).
		WatchesRawSource(atStart(WebhookConfigurationName)).
		WithOptions(controller.Options{RateLimiter: quickRetries(), ReconciliationTimeout: 30 * time.Second}).
		Complete(r)
}

// CacheByName limits the manager's cache to the webhook configurations of the operator's name, and to the one ConfigMap that grants roles in
// the operator's namespace, so that the right to list and watch can be limited to their names. Trails are cached without what nobody
// reads.
func CacheByName(operatorNamespace string) map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&admissionregistrationv1.ValidatingWebhookConfiguration{}: {
			Field: fields.OneTermEqualSelector(metav1.ObjectNameField, WebhookConfigurationName),
		},
		&admissionregistrationv1.MutatingWebhookConfiguration{}: {
			Field: fields.OneTermEqualSelector(metav1.ObjectNameField, WebhookConfigurationName),
		},
		&corev1.ConfigMap{}: {
			Namespaces: map[string]cache.Config{operatorNamespace: {}},
			Field:      fields.OneTermEqualSelector(metav1.ObjectNameField, awsauth.RoleGrantsName),
		},
		// Trails have many conditions, and who wrote which of them takes as much memory as the rest.
		&v1alpha1.AuditTrail{}: {Transform: cache.TransformStripManagedFields()},
	}
}

// ServiceEndpoint is a recorder behind a Service's port 443.
func ServiceEndpoint(namespace, name string) func(path string) admissionregistrationv1.WebhookClientConfig {
	return func(path string) admissionregistrationv1.WebhookClientConfig {
		port := int32(443)
		return admissionregistrationv1.WebhookClientConfig{
			Service: &admissionregistrationv1.ServiceReference{Namespace: namespace, Name: name, Path: &path, Port: &port},
		}
	}
}

// URLEndpoint is a recorder at a base URL such as https://127.0.0.1:9443.
func URLEndpoint(base string) func(path string) admissionregistrationv1.WebhookClientConfig {
	return func(path string) admissionregistrationv1.WebhookClientConfig {
		url := base + path
		return admissionregistrationv1.WebhookClientConfig{URL: &url}
	}
}

// enqueueOnly maps every event to one request.
func enqueueOnly(name string) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: name}}}
	})
}

// atStart reconciles once when the caches have synced, for the case that there is nothing to watch yet.
func atStart(name string) source.Source {
	return source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		queue.Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: name}})
		return nil
	})
}

// quickRetries go from 100 ms to 15 s: while a configuration is wrong, recording is not as asked for, and the usual cap
// of 16 minutes would be far too long.
func quickRetries() workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](100*time.Millisecond, 15*time.Second)
}
