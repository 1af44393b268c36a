package query

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// pageSize is the largest page: about 50 ms for the API server, and about a megabyte.
	pageSize = 500
	// firstPage is the largest one of which nobody knows yet how large its events are: at most 8 MB, as audit.Limit has them.
	firstPage = 51
	// pageBytes is about what further pages take, which have at least leastPage events.
	pageBytes, leastPage = 2 << 20, 16
	// listTimeout bounds one page.
	listTimeout = 30 * time.Second
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
}

// Span is all that is wanted: how far back the cluster goes is known only by looking.
func (c *Cluster) Span(wanted Span) Span { return wanted }

// Read reads pages of the API server, each with a deadline. Pages are of one moment as long as the API server remembers it, which
// is some minutes: events that are recorded later then do not appear.
func (c *Cluster) Read(ctx context.Context, span Span, filter *Filter, hint int) Rows {
	list := &lister{cluster: c, filter: filter, span: span, limit: firstPage}
	if hint > 0 && !filter.selective() {
		list.limit = min(firstPage, hint+1) // One more tells whether there are more.
	}
	if span.Newest {
		return func(yield func(*Row, error) bool) { list.backwards(ctx, yield) }
	}
	return func(yield func(*Row, error) bool) { list.forwards(ctx, yield) }
}

// lister is one reading of a namespace.
type lister struct {
	cluster *Cluster
	filter  *Filter
	span    Span
	limit   int
	// version is that of the pages; 0 before the first.
	version int64
}

// forwards yields the span's rows, oldest first.
func (l *lister) forwards(ctx context.Context, yield func(*Row, error) bool) {
	for from := l.span.From; ; {
		page, more, err := l.page(ctx, from, l.limit)
		if err != nil {
			yield(nil, err)
			return
		}
		for i := range page {
			if !l.span.Has(page[i].Name) {
				return
			}
			if row := l.cluster.Row(&page[i]); l.filter.Matches(row) && !yield(row, nil) {
				return
			}
		}
		if !more {
			return
		}
		from = page[len(page)-1].Name + "\x00"
		l.learn(page)
	}
}

// learn has the next page be as large as its events are likely to allow.
func (l *lister) learn(page []v1alpha1.AuditEvent) {
	if len(page) == 0 {
		return
	}
	bytes := 0
	for i := range page {
		bytes += weight(&page[i])
	}
	l.limit = max(leastPage, min(pageSize, pageBytes*len(page)/bytes))
}

// continueToken is how the API server itself says from where a list goes on; it has been so since Kubernetes 1.10. The version -1
// asks for the present.
type continueToken struct {
	APIVersion      string `json:"v"`
	ResourceVersion int64  `json:"rv"`
	StartKey        string `json:"start"`
}

// seek is a token with which a list begins at a name: nothing else lets a list begin in its middle.
func seek(version int64, from string) string {
	if version == 0 {
		version = -1
	}
	// Numbers and strings can always be encoded.
	token, _ := json.Marshal(continueToken{APIVersion: "meta.k8s.io/v1", ResourceVersion: version, StartKey: from})
	return base64.RawURLEncoding.EncodeToString(token)
}

// page lists events from a name on; more says that the API server has further ones.
func (l *lister) page(ctx context.Context, from string, limit int) (events []v1alpha1.AuditEvent, more bool, err error) {
	list, err := l.list(ctx, from, limit)
	if apierrors.IsResourceExpired(err) && l.version != 0 {
		l.version = 0 // The moment is forgotten; what is there now begins at the same name.
		list, err = l.list(ctx, from, limit)
	}
	if err != nil {
		return nil, false, fmt.Errorf("listing AuditEvents of namespace %s: %w", l.cluster.Namespace, err)
	}
	if l.version == 0 {
		if l.version, err = strconv.ParseInt(list.ResourceVersion, 10, 64); err != nil {
			l.version = 0
		}
	}
	return list.Items, list.Continue != "" && len(list.Items) > 0, nil
}

func (l *lister) list(ctx context.Context, from string, limit int) (*v1alpha1.AuditEventList, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	options := []client.ListOption{
		client.InNamespace(l.cluster.Namespace), client.Limit(int64(limit)),
		client.MatchingFieldsSelector{Selector: l.filter.selector()},
	}
	if from != "" {
		options = append(options, client.Continue(seek(l.version, from)))
	}
	list := &v1alpha1.AuditEventList{}
	return list, l.cluster.Reader.List(ctx, list, options...)
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

// backwards yields the span's rows, newest first. The API server lists in one direction only, so it reads slices of time, each
// before the last, and turns them round. What a slice is long follows from how many events the last one had.
func (l *lister) backwards(ctx context.Context, yield func(*Row, error) bool) {
	slice := newSlicer(l.span)
	for slice.next() {
		page, again, err := l.slice(ctx, slice)
		if err != nil {
			yield(nil, err)
			return
		}
		if again {
			continue
		}
		for i := len(page) - 1; i >= 0; i-- {
			if row := l.cluster.Row(&page[i]); l.filter.Matches(row) && !yield(row, nil) {
				return
			}
		}
		slice.done(len(page), l.limit)
	}
}

// slice reads one slice whole; again says that it has more than a page, and was made shorter.
func (l *lister) slice(ctx context.Context, slice *slicer) (page []v1alpha1.AuditEvent, again bool, err error) {
	page, more, err := l.page(ctx, slice.from, l.limit)
	if err != nil {
		return nil, false, err
	}
	l.learn(page)
	inside := len(page)
	for inside > 0 && slice.to != "" && page[inside-1].Name >= slice.to {
		inside--
	}
	if !more || inside < len(page) {
		return page[:inside], false, nil
	}
	if slice.shorten(timeOf(page[len(page)-1].Name)) {
		return nil, true, nil
	}
	page, err = l.rest(ctx, page, slice.to)
	return page, false, err
}

// rest reads on to a name what one millisecond has more than a page.
func (l *lister) rest(ctx context.Context, page []v1alpha1.AuditEvent, to string) ([]v1alpha1.AuditEvent, error) {
	for {
		further, more, err := l.page(ctx, page[len(page)-1].Name+"\x00", l.limit)
		if err != nil {
			return nil, err
		}
		for i := range further {
			if to != "" && further[i].Name >= to {
				return page, nil
			}
			page = append(page, further[i])
		}
		if !more {
			return page, nil
		}
	}
}
