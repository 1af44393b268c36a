package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AuditEventChunkSpec is events of one trail that wait for its destination, packed.
type AuditEventChunkSpec struct {
	// trailRef is the trail whose events these are.
	// +required
	TrailRef TrailReference `json:"trailRef,omitzero"`

	// firstResourceVersion is the resourceVersion at which the first event was recorded.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=20
	FirstResourceVersion string `json:"firstResourceVersion,omitempty"`

	// lastResourceVersion is that of the last event. Nothing that was recorded for the trail between the two is missing.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=20
	LastResourceVersion string `json:"lastResourceVersion,omitempty"`

	// count is how many events there are.
	// +required
	// +kubebuilder:validation:Minimum=1
	Count int64 `json:"count,omitempty"`

	// encoding is how data is packed: JSONLinesGzip, gzip of one JSON object a line.
	// +required
	Encoding ChunkEncoding `json:"encoding,omitempty"`

	// checksum is the SHA-256 of data, in hexadecimal.
	// +required
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	Checksum string `json:"checksum,omitempty"`

	// data is the packed events.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1400000
	Data []byte `json:"data,omitempty"`
}

// ChunkEncoding is how a chunk's data is packed.
// +kubebuilder:validation:Enum=JSONLinesGzip
type ChunkEncoding string

// ChunkJSONLinesGzip is gzip of one JSON object a line, in the order of recording.
const ChunkJSONLinesGzip ChunkEncoding = "JSONLinesGzip"

// AuditEventChunk is Trailkeeper's own: where events wait, packed, while their trail's destination takes nothing for long.
// It is in the operator's namespace, and deleted when its events are delivered. Nobody else should read or write it.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced
// +kubebuilder:printcolumn:name="Trail Namespace",type=string,JSONPath=`.spec.trailRef.namespace`
// +kubebuilder:printcolumn:name="Trail",type=string,JSONPath=`.spec.trailRef.name`
// +kubebuilder:printcolumn:name="Events",type=integer,JSONPath=`.spec.count`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AuditEventChunk struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata. The name is the trail's uid and the first resourceVersion, so that chunks
	// of one trail sort by it.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is the events. Immutable.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="an AuditEventChunk is immutable: leave it to Trailkeeper"
	Spec AuditEventChunkSpec `json:"spec,omitzero"`
}

// AuditEventChunkList is a list of AuditEventChunks.
//
// +kubebuilder:object:root=true
type AuditEventChunkList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []AuditEventChunk `json:"items"`
}
