package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// indexPage and bodyPage are how many events one list request returns. For each page the API server walks all that
	// is still to come, so that pages should be large where they are not kept.
	indexPage = 4000
	bodyPage  = 1000
	// listTimeout bounds one list request or single read.
	listTimeout = 30 * time.Second
	// watchTimeout is how long the API server keeps one watch open; it is then made again.
	watchTimeout = 5 * time.Minute
)

// errExpired says that the API server no longer has the history that a watch asked for.
var errExpired = errors.New("the resourceVersion is too old or too new for a watch")

// source reads AuditEvents from the API server, without decoding what is only passed on.
type source struct {
	client rest.Interface
}

func path(namespace string) string {
	base := "/apis/" + v1alpha1.GroupVersion.String()
	if namespace != "" {
		base += "/namespaces/" + namespace
	}
	return base + "/" + v1alpha1.AuditEventsResource.Resource
}

// listMeta is what a list says of itself.
type listMeta struct {
	ResourceVersion string `json:"resourceVersion"`
	Continue        string `json:"continue"`
}

// head is the resourceVersion of the API server's present state.
func (s *source) head(ctx context.Context) (uint64, error) {
	meta, err := s.list(ctx, "", "", "", 1, func(*wireEvent) {})
	if err != nil {
		return 0, err
	}
	return parseVersion(meta.ResourceVersion)
}

// pager lists a trail's events in some namespaces, page by page, in the order of their names. Each namespace's list is
// consistent: it shows at least everything that was stored when it began.
type pager struct {
	source     *source
	trail      string
	namespaces []string
	// size is how many events a page has.
	size int
	next string
	// last is the last name that was listed in the first of namespaces.
	last string
	// version is the resourceVersion up to which all the lists that were begun are complete.
	version uint64
}

// passed says that the pages to come do not hold an event: its place in the order of names is behind.
func (p *pager) passed(name types.NamespacedName) bool {
	if !slices.Contains(p.namespaces, name.Namespace) {
		return true
	}
	return p.namespaces[0] == name.Namespace && name.Name <= p.last
}

// page shows the next page's events to visit; io.EOF after the last page. Listing for longer than the API server keeps
// history fails.
func (p *pager) page(ctx context.Context, visit func(*wireEvent)) error {
	if len(p.namespaces) == 0 {
		return io.EOF
	}
	meta, err := p.source.list(ctx, p.namespaces[0], p.trail, p.next, p.size, func(event *wireEvent) {
		p.last = event.Metadata.Name
		visit(event)
	})
	if err != nil {
		return err
	}
	version, err := parseVersion(meta.ResourceVersion)
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

// list shows one page's events to visit while it arrives, so that a page is never in memory as a whole.
func (s *source) list(
	ctx context.Context, namespace, trail, continueToken string, limit int, visit func(*wireEvent),
) (meta listMeta, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	request := s.client.Get().AbsPath(path(namespace)).Param("limit", strconv.Itoa(limit))
	if trail != "" {
		request = request.Param("fieldSelector", v1alpha1.FieldTrail+"="+trail)
	}
	if continueToken != "" {
		request = request.Param("continue", continueToken)
	}
	stream, err := request.SetHeader("Accept", "application/json").Stream(ctx)
	if err != nil {
		return meta, fmt.Errorf("listing AuditEvents: %w", err)
	}
	defer func() { _ = stream.Close() }()
	if err := decodeList(newDecoder(stream), &meta, visit); err != nil {
		return meta, fmt.Errorf("decoding a list of AuditEvents: %w", err)
	}
	return meta, nil
}

// newDecoder does not look for repeated names, which the API server does not write.
func newDecoder(stream io.Reader) *jsontext.Decoder {
	return jsontext.NewDecoder(stream, jsontext.AllowDuplicateNames(true))
}

// decodeList reads a list of any kind item by item; the API server gives its members in different orders.
func decodeList[T any](decoder *jsontext.Decoder, meta any, visit func(*T)) error {
	return eachMember(decoder, func(name string) error {
		switch name {
		case "metadata":
			return json.UnmarshalDecode(decoder, meta)
		case "items":
			return eachElement(decoder, func() error {
				var item T
				if err := json.UnmarshalDecode(decoder, &item); err != nil {
					return err
				}
				visit(&item)
				return nil
			})
		default:
			return decoder.SkipValue()
		}
	})
}

func eachMember(decoder *jsontext.Decoder, read func(name string) error) error {
	if _, err := decoder.ReadToken(); err != nil {
		return err
	}
	for decoder.PeekKind() != jsontext.KindEndObject {
		name, err := decoder.ReadToken()
		if err != nil {
			return err
		}
		if err := read(name.String()); err != nil {
			return err
		}
	}
	_, err := decoder.ReadToken()
	return err
}

// eachElement reads a list; null is an empty one.
func eachElement(decoder *jsontext.Decoder, read func() error) error {
	if decoder.PeekKind() == jsontext.KindNull {
		return decoder.SkipValue()
	}
	if _, err := decoder.ReadToken(); err != nil {
		return err
	}
	for decoder.PeekKind() != jsontext.KindEndArray {
		if err := read(); err != nil {
			return err
		}
	}
	_, err := decoder.ReadToken()
	return err
}

// get reads one event; nil when it is gone.
func (s *source) get(ctx context.Context, name types.NamespacedName) (*Event, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	body, err := s.client.Get().AbsPath(path(name.Namespace), name.Name).SetHeader("Accept", "application/json").DoRaw(ctx)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading AuditEvent %s: %w", name, err)
	}
	var wire wireEvent
	if err := json.Unmarshal(body, &wire); err != nil {
		return nil, fmt.Errorf("decoding AuditEvent %s: %w", name, err)
	}
	event, err := wire.event()
	return &event, err
}

// watch calls visit for everything that happens after the resourceVersion: created is nil for what only moves the
// resourceVersion on. It returns errExpired when the history is gone, nil when the API server ended the watch.
func (s *source) watch(ctx context.Context, from uint64, visit func(version uint64, created *wireEvent)) error {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout+listTimeout)
	defer cancel()
	stream, err := s.client.Get().AbsPath(path("")).
		Param("watch", "true").
		Param("allowWatchBookmarks", "true").
		Param("resourceVersion", formatVersion(from)).
		Param("timeoutSeconds", strconv.Itoa(int(watchTimeout.Seconds()))).
		SetHeader("Accept", "application/json").
		Stream(ctx)
	if isExpired(err) {
		return errExpired
	}
	if err != nil {
		return fmt.Errorf("watching AuditEvents: %w", err)
	}
	defer func() { _ = stream.Close() }()

	decoder := newDecoder(stream)
	for {
		if err := next(decoder, visit); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// frame is one frame of a watch. It is decoded as it arrives, in one pass over all but the spec's own fields.
type frame struct {
	Type   string `json:"type"`
	Object struct {
		wireEvent
		// Status is an AuditEvent's, or the word "Failure".
		Status jsontext.Value `json:"status"`
		// What else an error has.
		Code    int32                 `json:"code"`
		Reason  metav1.StatusReason   `json:"reason"`
		Message string                `json:"message"`
		Details *metav1.StatusDetails `json:"details"`
	} `json:"object"`
}

// next handles one frame of a watch.
func next(decoder *jsontext.Decoder, visit func(version uint64, created *wireEvent)) error {
	var read frame
	if err := json.UnmarshalDecode(decoder, &read); err != nil {
		return fmt.Errorf("reading the watch of AuditEvents: %w", err)
	}
	if read.Type == "ERROR" {
		return read.failure()
	}
	wire := &read.Object.wireEvent
	if len(read.Object.Status) > 0 {
		if err := json.Unmarshal(read.Object.Status, &wire.Status); err != nil {
			return fmt.Errorf("decoding the status of a watched AuditEvent: %w", err)
		}
	}
	version, err := parseVersion(wire.Metadata.ResourceVersion)
	if err != nil {
		return err
	}
	if read.Type == "ADDED" {
		visit(version, wire)
	} else {
		visit(version, nil)
	}
	return nil
}

// failure is the error that the API server ends a watch with.
func (f *frame) failure() error {
	err := &apierrors.StatusError{ErrStatus: metav1.Status{
		Code: f.Object.Code, Reason: f.Object.Reason, Message: f.Object.Message, Details: f.Object.Details,
	}}
	if isExpired(err) {
		return errExpired
	}
	return fmt.Errorf("watching AuditEvents: %w", err)
}

// isExpired is also true for a resourceVersion from the future, which a restored etcd leaves behind.
func isExpired(err error) bool {
	return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) ||
		apierrors.IsTimeout(err) && apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge)
}
