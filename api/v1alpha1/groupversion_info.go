package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion is the group and version of every kind in this package.
	GroupVersion = schema.GroupVersion{Group: "audit.trailkeeper.dev", Version: "v1alpha1"}

	// AuditEventsResource is the resource under which AuditEvents are served.
	AuditEventsResource = GroupVersion.WithResource("auditevents")

	// AuditTrailsResource is the resource under which AuditTrails are served.
	AuditTrailsResource = GroupVersion.WithResource("audittrails")

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme registers the kinds of this package with a scheme.
	AddToScheme = schemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &AuditTrail{}, &AuditTrailList{}, &AuditEvent{}, &AuditEventList{},
		&AuditEventChunk{}, &AuditEventChunkList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
