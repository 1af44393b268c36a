package observer

import (
	"context"
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// kinds are those that the API server sends to no webhook (IsExemptAdmissionConfigurationResource of k8s.io/apiserver).
var kinds = []string{
	"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration",
	"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
	"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding",
}

const (
	// recordTimeout bounds the recording of one change.
	recordTimeout = 10 * time.Second
	// ownWithin is how long the operator may take to know that a write was its own.
	ownWithin = time.Second
)

// Options are what an Observer needs.
type Options struct {
	Client dynamic.Interface
	// Mapper says which kinds are served, and under which version.
	Mapper meta.RESTMapper
	// Record records a change.
	Record func(ctx context.Context, request *admissionv1.AdmissionRequest)
	// OwnName is that of the webhook configurations that the operator writes, one of each kind, and Own says whether it wrote
	// this resourceVersion.
	OwnName string
	Own     func(resourceVersion string) bool
}

// Observer watches, on the leader.
type Observer struct {
	options Options
}

// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingwebhookconfigurations;mutatingwebhookconfigurations,verbs=get;list;watch
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingadmissionpolicies;validatingadmissionpolicybindings,verbs=list;watch
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=mutatingadmissionpolicies;mutatingadmissionpolicybindings,verbs=list;watch

// New returns an Observer.
func New(options Options) *Observer {
	return &Observer{options: options}
}

// Start watches until the context ends.
func (o *Observer) Start(ctx context.Context) error {
	factory := dynamicinformer.NewDynamicSharedInformerFactory(o.options.Client, 0)
	for _, kind := range kinds {
		mapping, err := o.options.Mapper.RESTMapping(schema.GroupKind{Group: admissionregistrationv1.GroupName, Kind: kind})
		if meta.IsNoMatchError(err) {
			log.FromContext(ctx).V(1).Info("The API server does not serve a kind, so it is not watched", "kind", kind)
			continue
		}
		if err != nil {
			return fmt.Errorf("finding how %s is served: %w", kind, err)
		}
		informer := factory.ForResource(mapping.Resource).Informer()
		if err := informer.SetTransform(o.transform); err != nil {
			return fmt.Errorf("preparing the watch of %s: %w", kind, err)
		}
		if _, err := informer.AddEventHandler(o.handler(ctx, mapping.Resource)); err != nil {
			return fmt.Errorf("preparing the watch of %s: %w", kind, err)
		}
	}
	factory.Start(ctx.Done())
	<-ctx.Done()
	factory.Shutdown()
	return nil
}

func (o *Observer) handler(ctx context.Context, resource schema.GroupVersionResource) cache.ResourceEventHandlerDetailedFuncs {
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(object any, isInInitialList bool) {
			if !isInInitialList {
				o.changed(ctx, resource, nil, object)
			}
		},
		UpdateFunc: func(before, after any) { o.changed(ctx, resource, before, after) },
		DeleteFunc: func(object any) {
			if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = gone.Obj
			}
			o.changed(ctx, resource, object, nil)
		},
	}
}

func (o *Observer) changed(ctx context.Context, resource schema.GroupVersionResource, beforeAny, afterAny any) {
	before, _ := beforeAny.(*unstructured.Unstructured)
	after, _ := afterAny.(*unstructured.Unstructured)
	if before == nil && after == nil || o.isOwn(ctx, after) {
		return
	}
	if before != nil && after != nil && before.GetUID() != after.GetUID() {
		// Deleted and made again while the watch was away.
		o.record(ctx, resource, before, nil)
		before = nil
	}
	o.record(ctx, resource, before, after)
}

func (o *Observer) record(ctx context.Context, resource schema.GroupVersionResource, before, after *unstructured.Unstructured) {
	request, err := requestOf(resource, before, after)
	if err != nil {
		log.FromContext(ctx).Error(err, "Cannot record a change of an admission configuration")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	o.options.Record(ctx, request)
}

// isOwnKind says that it is a configuration that the operator writes, whoever wrote this.
func (o *Observer) isOwnKind(object *unstructured.Unstructured) bool {
	return (object.GetKind() == kinds[0] || object.GetKind() == kinds[1]) && object.GetName() == o.options.OwnName
}

// isOwn says whether the operator wrote this. The watch may know of the write before the operator has its answer.
func (o *Observer) isOwn(ctx context.Context, object *unstructured.Unstructured) bool {
	if object == nil || !o.isOwnKind(object) {
		return false
	}
	if o.options.Own(object.GetResourceVersion()) {
		return true
	}
	timer := time.NewTimer(ownWithin)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	return o.options.Own(object.GetResourceVersion())
}
