package delivery

import (
	"context"
	"errors"
	"io"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// pager lists a trail's events in some namespaces, page by page, in the order of their names. Each namespace's list is
// consistent: it shows at least everything that was stored when it began.
type pager struct {
	source     *source
	trail      string
	namespaces []string
	// Size is how many events a page has.
	size int
	next string
	// last is the last name that was listed in the first of namespaces.
	last string
	// Version is the resourceVersion up to which all the lists that were begun are complete.
	version uint64
}

// pageTries is how often a page is asked for. Each try that was too slow makes it smaller, so that it takes five to come to leastPage.
const pageTries = 8

// passed says that the pages to come do not hold an event: its place in the order of names is behind.
func (p *pager) passed(name types.NamespacedName) bool {
	if !slices.Contains(p.namespaces, name.Namespace) {
		return true
	}
	return p.namespaces[0] == name.Namespace && name.Name <= p.last
}

// clone lists what p has not listed yet.
func (p *pager) clone() *pager {
	other := *p
	return &other
}

// reach notes that an event was shown, and with it all that come before it.
func (p *pager) reach(name types.NamespacedName) {
	if at := slices.Index(p.namespaces, name.Namespace); at >= 0 {
		p.namespaces = p.namespaces[at:]
	}
	p.last = name.Name
}

// page shows the next page's events to visit; io.EOF after the last page.
func (p *pager) page(ctx context.Context, visit func(*recorded.Wire)) error {
	if len(p.namespaces) == 0 {
		return io.EOF
	}
	var meta listMeta
	for try := 1; ; try++ {
		var err error
		meta, err = p.source.list(ctx, p.namespaces[0], fields.OneTermEqualSelector(v1alpha1.FieldTrail, p.trail), p.next, p.size, func(event *recorded.Wire) {
			if event.Name > p.last { // Else a try before this one showed it.
				p.last = event.Name
				visit(event)
			}
		})
		if err == nil {
			break
		}
		if try == pageTries || !p.goesOn(ctx, err) {
			return err
		}
	}
	version, err := apijson.ParseVersion(meta.ResourceVersion)
	if err != nil {
		return err
	}
	if p.version == 0 || version < p.version {
		p.version = version
	}
	if p.next = meta.Continue; p.next == "" {
		p.namespaces, p.last = p.namespaces[1:], ""
	}
	return nil
}

// goesOn says whether the page is to be asked for again: with fewer events when the API server was too slow, and as of now when it
// has forgotten the moment of the list, which takes minutes. What it shows then is still all that was stored when the list began.
func (p *pager) goesOn(ctx context.Context, err error) bool {
	var status apierrors.APIStatus
	switch {
	case ctx.Err() != nil:
		return false
	case apierrors.IsResourceExpired(err) && errors.As(err, &status) && status.Status().Continue != "":
		p.next = status.Status().Continue
		return true
	case errors.Is(err, context.DeadlineExceeded), apierrors.IsTimeout(err):
		slow := p.size
		p.size = max(p.size/4, leastPage)
		return p.size < slow
	default:
		return false
	}
}
