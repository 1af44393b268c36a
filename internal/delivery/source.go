package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

const (
	// indexPage and bodyPage are how many events one list request returns. For each page the API server walks all that
	// is still to come, so that pages should be large where they are not kept.
	indexPage = 4000
	bodyPage  = 1000
	// leastPage is how many events a page has when the API server is so slow that larger ones take longer than listTimeout.
	leastPage = 50
	// listTimeout bounds one list request or single read.
	listTimeout = 30 * time.Second
	// watchTimeout is how long the API server keeps one watch open; it is then made again.
	watchTimeout = 5 * time.Minute
)

// source reads AuditEvents from the API server, without decoding what is only passed on.
type source struct {
	client rest.Interface
	// watches is for the watch alone.
	watches rest.Interface
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

// head is the resourceVersion of the API server's present state. In one namespace and by name it looks at one place, and not at how many
// events there are.
func (s *source) head(ctx context.Context) (uint64, error) {
	meta, err := s.list(ctx, metav1.NamespaceDefault, fields.OneTermEqualSelector(metav1.ObjectNameField, "none"), "", 1, func(*recorded.Wire) {})
	if err != nil {
		return 0, err
	}
	return apijson.ParseVersion(meta.ResourceVersion)
}

// List shows one page's events to visit while it arrives, so that a page is never in memory as a whole.
func (s *source) list(
	ctx context.Context, namespace string, of fields.Selector, continueToken string, limit int, visit func(*recorded.Wire),
) (meta listMeta, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	request := s.client.Get().AbsPath(path(namespace)).Param("fieldSelector", of.String()).Param("limit", strconv.Itoa(limit))
	if continueToken != "" {
		request = request.Param("continue", continueToken)
	}
	stream, err := request.SetHeader("Accept", "application/json").Stream(ctx)
	if err != nil {
		return meta, fmt.Errorf("listing AuditEvents: %w", err)
	}
	defer func() { _ = stream.Close() }()
	err = apijson.DecodeList(apijson.NewStream(stream), &meta, func(item []byte) error {
		wire, err := recorded.ReadWire(item)
		if err == nil {
			visit(wire)
		}
		return err
	})
	if err != nil {
		return meta, fmt.Errorf("decoding a list of AuditEvents: %w", err)
	}
	return meta, nil
}

// get reads one event; nil when it is gone.
func (s *source) get(ctx context.Context, name types.NamespacedName) (*recorded.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	body, err := s.client.Get().AbsPath(path(name.Namespace), name.Name).SetHeader("Accept", "application/json").DoRaw(ctx)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading AuditEvent %s: %w", name, err)
	}
	wire, err := recorded.ReadWire(body)
	if err != nil {
		return nil, fmt.Errorf("reading AuditEvent %s: %w", name, err)
	}
	event, err := wire.Event()
	return &event, err
}

// watch calls visit for everything that happens after the resourceVersion: created is nil for what only moves the
// resourceVersion on. It returns apijson.ErrExpired when the history is gone, nil when the API server ended the watch.
func (s *source) watch(ctx context.Context, from uint64, visit func(version uint64, created *recorded.Wire)) error {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout+listTimeout)
	defer cancel()
	stream, err := s.watches.Get().AbsPath(path("")).
		Param("watch", "true").
		Param("allowWatchBookmarks", "true").
		Param("resourceVersion", apijson.FormatVersion(from)).
		Param("timeoutSeconds", strconv.Itoa(int(watchTimeout.Seconds()))).
		SetHeader("Accept", "application/json").
		Stream(ctx)
	if apijson.IsExpired(err) {
		return apijson.ErrExpired
	}
	if err != nil {
		return fmt.Errorf("watching AuditEvents: %w", err)
	}
	defer func() { _ = stream.Close() }()

	frames := apijson.NewStream(stream)
	for {
		if err := next(frames, visit); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// next handles one frame of a watch.
func next(frames *apijson.Stream, visit func(version uint64, created *recorded.Wire)) error {
	read, err := frames.Value()
	if err != nil {
		return fmt.Errorf("reading the watch of AuditEvents: %w", err)
	}
	kind, wire, err := readFrame(read)
	if err != nil {
		return fmt.Errorf("decoding the watch of AuditEvents: %w", err)
	}
	if kind == "ERROR" {
		return fmt.Errorf("watching AuditEvents: %w", apijson.FailureOf(read))
	}
	version, err := apijson.ParseVersion(wire.Version)
	if err != nil {
		return err
	}
	if kind == "ADDED" {
		visit(version, wire)
	} else {
		visit(version, nil)
	}
	return nil
}

// readFrame reads what kind of frame it is, and its AuditEvent.
func readFrame(read []byte) (kind string, wire *recorded.Wire, err error) {
	wire = &recorded.Wire{}
	var later []byte // The object, if it comes before the kind.
	s := apijson.Scan{Data: read}
	s.Object(func(name []byte) {
		switch {
		case string(name) == "type":
			kind = s.Text()
		case string(name) == "object" && (kind == "" || kind == "ERROR"):
			later = s.Raw() // An error's status is a word.
		case string(name) == "object":
			wire.Scan(&s)
		default:
			s.Raw()
		}
	})
	if later != nil && kind != "ERROR" && s.Err == nil {
		wire, err = recorded.ReadWire(later)
		return kind, wire, err
	}
	return kind, wire, s.Err
}
