package query

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// pageSize is the largest page. For each one the API server walks all that is still to come, so that few large ones are better
	// than many small ones.
	pageSize = 1000
	// firstPage is the largest one of which nobody knows yet how large its events are: at most 8 MB, as audit.Limit has them.
	firstPage = 51
	// pageBytes is about what further pages take, which have at least leastPage events.
	pageBytes, leastPage = 2 << 20, 16
	// listTimeout bounds one page.
	listTimeout = 30 * time.Second
)

// lister is one reading of a namespace.
type lister struct {
	cluster *Cluster
	filter  *Filter
	span    Span
	// wanted is how many rows will be read; 0 for all.
	wanted int
	// limit is how many events the next page may have.
	limit int
	// bytes is about how large an event of the last page was.
	bytes int
	// version is that of the pages; 0 before the first.
	version int64
}

// learn has the next page be as large as its events are likely to allow.
func (l *lister) learn(page []v1alpha1.AuditEvent) {
	if len(page) == 0 {
		return
	}
	l.bytes = weightOf(page) / len(page)
	l.limit = pageOf(l.bytes)
}

// pageOf is how many events of a size a page has.
func pageOf(bytes int) int { return max(leastPage, min(pageSize, pageBytes/max(bytes, 1))) }

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
	if l.version != 0 && (apierrors.IsResourceExpired(err) || apierrors.IsGone(err)) {
		l.version = 0 // The moment is forgotten; what is there now begins at the same name.
		list, err = l.list(ctx, from, limit)
	}
	for errors.Is(err, errTooLarge) && limit > leastPage {
		limit = max(limit/4, leastPage)
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
