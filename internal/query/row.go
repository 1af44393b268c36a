package query

import (
	"context"
	"iter"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// Source says where an event was found.
type Source string

const (
	// SourceCluster is an AuditEvent in the API server.
	SourceCluster Source = "Cluster"
	// SourceBacklog is an AuditEventChunk: the event waits for its destination, packed.
	SourceBacklog Source = "Backlog"
	// SourceLogGroup is the log group to which the trail delivered the event.
	SourceLogGroup Source = "LogGroup"
)

// Row is one event of an answer.
type Row struct {
	// Event has the name, namespace and spec wherever it was found; the rest of its metadata only from the cluster.
	Event *v1alpha1.AuditEvent
	// Source is where it was found.
	Source Source
	// Outcome says whether the change stuck; "" when that was not looked at yet, or is not known here.
	Outcome v1alpha1.Outcome
	// Message says why the outcome is what it is.
	Message string
}

// newEvent is an event that was found elsewhere than in the API server.
func newEvent(namespace, name string) *v1alpha1.AuditEvent {
	return &v1alpha1.AuditEvent{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "AuditEvent"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
	}
}

// weight is about how many bytes of memory an event takes, where it is large.
func weight(event *v1alpha1.AuditEvent) int {
	const small = 1 << 10
	bytes := small + raw(event.Spec.Object)
	for i := range event.Spec.Changes {
		change := &event.Spec.Changes[i]
		bytes += raw(change.From) + raw(change.Value)
	}
	return bytes
}

// weightOf is the weight of several events.
func weightOf(events []v1alpha1.AuditEvent) int {
	bytes := 0
	for i := range events {
		bytes += weight(&events[i])
	}
	return bytes
}

func raw(value *runtime.RawExtension) int {
	if value == nil {
		return 0
	}
	return len(value.Raw)
}

// Rows are read once, in the order of their span. A sequence that has ended with an error has no more rows.
type Rows = iter.Seq2[*Row, error]

// Place is somewhere that holds events.
type Place interface {
	// Span is the part of a span of which the place may have events. It must not take long: a place is opened only when its
	// part is reached.
	Span(wanted Span) Span
	// Read reads the rows of a span that the filter wants, in the order of their names. hint is about how many will be read; 0
	// for all.
	Read(ctx context.Context, span Span, filter *Filter, hint int) Rows
}
