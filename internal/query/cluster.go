package query

import (
	"context"

	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// Cluster is the AuditEvents of one namespace in the API server.
type Cluster struct {
	// Reader must not be a cache: a cache holds every event and knows no pages.
	Reader client.Reader
	// Namespace is the trails' own, not that of the objects.
	Namespace string
	// Judged says up to which resourceVersion the outcomes of a trail, by its uid, were found out: an event below it that says
	// nothing stuck. Nil when nobody knows.
	Judged func(trailUID string) string
	// Memory, where it is set, remembers how far to look back for what is wanted.
	Memory *Memory
}

// Span is all that is wanted: how far back the cluster goes is known only by looking.
func (c *Cluster) Span(wanted Span) Span { return wanted }

// Read reads pages of the API server, each with a deadline. Pages are of one moment as long as the API server remembers it, which
// is some minutes: events that are recorded later then do not appear.
func (c *Cluster) Read(ctx context.Context, span Span, filter *Filter, hint int) Rows {
	list := &lister{cluster: c, filter: filter, span: span, limit: firstPage, wanted: hint}
	if hint > 0 && !filter.selective() {
		list.limit = min(firstPage, hint+1) // One more tells whether there are more.
	}
	if span.Newest {
		return func(yield func(*Row, error) bool) { list.backwards(ctx, yield) }
	}
	return func(yield func(*Row, error) bool) { list.forwards(ctx, yield) }
}

// JudgedBy is what the status of trails says of how far outcomes were found out.
func JudgedBy(trails []v1alpha1.AuditTrail) func(trailUID string) string {
	judged := make(map[string]string, len(trails))
	for i := range trails {
		if delivery := trails[i].Status.Delivery; delivery != nil {
			judged[string(trails[i].UID)] = delivery.ResourceVersion
		}
	}
	return func(trailUID string) string { return judged[trailUID] }
}

// Row is an AuditEvent with what is known of its outcome.
func (c *Cluster) Row(event *v1alpha1.AuditEvent) *Row {
	row := &Row{Event: event, Source: SourceCluster, Outcome: event.Status.Outcome, Message: event.Status.Message}
	if row.Outcome != "" || c.Judged == nil || event.Spec.Action == v1alpha1.ActionNotice || event.Spec.Action == v1alpha1.ActionConnect {
		return row
	}
	judged := c.Judged(event.Spec.TrailRef.UID)
	// A note given afterwards moves the event's own version: then it may seem to be ahead of the cursor, never behind.
	recorded := event.Status.RecordedResourceVersion
	if recorded == "" {
		recorded = event.ResourceVersion
	}
	if order, err := resourceversion.CompareResourceVersion(recorded, judged); err == nil && order <= 0 {
		row.Outcome = v1alpha1.OutcomePersisted
	}
	return row
}
