package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NoticeReason is what happened to recording itself.
// +kubebuilder:validation:Enum=RecorderStarted;RecorderStopped;ConfigurationChanged;ConfigurationRestored;Gap
type NoticeReason string

const (
	// NoticeRecorderStarted says that a replica of the operator began to record.
	NoticeRecorderStarted NoticeReason = "RecorderStarted"
	// NoticeRecorderStopped says that a replica ended in good order. One that was killed says nothing.
	NoticeRecorderStopped NoticeReason = "RecorderStopped"
	// NoticeConfigurationChanged says that the API server was told of another spec of the trail.
	NoticeConfigurationChanged NoticeReason = "ConfigurationChanged"
	// NoticeConfigurationRestored says that somebody else edited or deleted the webhook configuration, and that it was
	// put right.
	NoticeConfigurationRestored NoticeReason = "ConfigurationRestored"
	// NoticeGap says that changes went unrecorded, or may have: between start and end, and how many when that is known.
	NoticeGap NoticeReason = "Gap"
)

// Notice is something that happened to recording itself.
type Notice struct {
	// reason is what happened: RecorderStarted, RecorderStopped, ConfigurationChanged, ConfigurationRestored or Gap.
	// +required
	Reason NoticeReason `json:"reason,omitempty"`

	// message says it in words.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// start is when it began: of a Gap, the last moment at which recording is known to have been in order, or the first
	// event that was lost.
	// +optional
	Start *metav1.MicroTime `json:"start,omitempty"`

	// end is when it was over.
	// +optional
	End *metav1.MicroTime `json:"end,omitempty"`

	// count is how many events are known to be missing; absent when nobody can tell.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Count *int64 `json:"count,omitempty"`
}
