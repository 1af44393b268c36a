package delivery

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
)

// fakeAPI is an API server that knows AuditEvents only: consistent lists in pages and in the order of names, single
// reads, and watches. It answers in memory, so that it can be used in a synctest bubble.
type fakeAPI struct {
	// pageSize is the most that one page holds, whatever more the client asks for.
	pageSize int
	// onList, if set, sees each list request before it is answered.
	onList func(namespace string)
	// answerList, if set, may answer a list request, of so many events, in the fake's place; nil leaves it to the fake.
	answerList func(limit int, continued string, page []byte) *http.Response
	// failLists is how many list requests fail after onList saw them.
	failLists int
	// refuse, if set, is the status that every watch request gets instead of a watch, once.
	refuse *metav1.Status

	mu      sync.Mutex
	version uint64
	events  map[types.NamespacedName]*v1alpha1.AuditEvent
	lists   map[string][]*v1alpha1.AuditEvent // continue token → what is still to come
	began   map[string]uint64                 // continue token → the list's resourceVersion
	// gets counts single reads, pages the pages of lists.
	gets, pages int
	// watched is from where watches were asked for; watch is the open one.
	watched []uint64
	watch   *io.PipeWriter
}

func newFakeAPI() *fakeAPI {
	return &fakeAPI{
		pageSize: 7,
		events:   map[types.NamespacedName]*v1alpha1.AuditEvent{},
		lists:    map[string][]*v1alpha1.AuditEvent{},
		began:    map[string]uint64{},
	}
}

// rest is a client of the fake.
func (a *fakeAPI) rest(t *testing.T) rest.Interface {
	t.Helper()
	client, err := rest.RESTClientForConfigAndClient(&rest.Config{
		Host: "http://fake",
		QPS:  -1,
		ContentConfig: rest.ContentConfig{
			GroupVersion:         &schema.GroupVersion{Version: "v1"},
			NegotiatedSerializer: clientgoscheme.Codecs.WithoutConversion(),
		},
	}, &http.Client{Transport: a})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return client
}

// store stores an event at a resourceVersion, and tells the watch of it.
func (a *fakeAPI) store(event *v1alpha1.AuditEvent, version uint64) {
	a.mu.Lock()
	event.ResourceVersion = apijson.FormatVersion(version)
	a.events[types.NamespacedName{Namespace: event.Namespace, Name: event.Name}] = event
	a.version = max(a.version, version)
	a.mu.Unlock()
	a.send("ADDED", event)
}

// write is the version at which something is written that nobody is told of.
func (a *fakeAPI) write() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version++
	return a.version
}

func (a *fakeAPI) remove(namespace, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.events, types.NamespacedName{Namespace: namespace, Name: name})
}

// send writes a frame to the open watch, and returns when the client has read it.
func (a *fakeAPI) send(kind string, object any) {
	a.mu.Lock()
	watch := a.watch
	a.mu.Unlock()
	if watch == nil {
		return
	}
	frame, err := json.Marshal(map[string]any{"type": kind, "object": object})
	if err != nil {
		panic(err)
	}
	_, _ = watch.Write(append(frame, '\n'))
}

// bookmark moves the watch on without an event.
func (a *fakeAPI) bookmark(version uint64) {
	a.mu.Lock()
	a.version = max(a.version, version)
	a.mu.Unlock()
	a.send("BOOKMARK", map[string]any{"metadata": map[string]any{"resourceVersion": apijson.FormatVersion(version)}})
}

// restore sets the resourceVersion of the present state, as a backup of etcd does.
func (a *fakeAPI) restore(version uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version = version
}

// endWatch ends the open watch as an API server does that has kept it for long enough.
func (a *fakeAPI) endWatch() {
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = a.watch.Close()
	a.watch = nil
}

func (a *fakeAPI) watches() []uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.watched)
}

func (a *fakeAPI) reads() (pages, gets int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pages, a.gets
}

// RoundTrip answers a request.
func (a *fakeAPI) RoundTrip(request *http.Request) (*http.Response, error) {
	query := request.URL.Query()
	namespace, name := "", ""
	parts := strings.Split(strings.TrimPrefix(request.URL.Path, "/apis/"+v1alpha1.GroupVersion.String()+"/"), "/")
	if parts[0] == "namespaces" {
		namespace, parts = parts[1], parts[2:]
	}
	if len(parts) == 2 {
		name = parts[1]
	}
	switch {
	case parts[0] != v1alpha1.AuditEventsResource.Resource:
		return notFound(parts[len(parts)-1])
	case query.Get("watch") == "true":
		return a.openWatch(request.Context(), query.Get("resourceVersion"))
	case name != "":
		return a.get(namespace, name)
	}
	if a.onList != nil {
		a.onList(namespace)
	}
	if a.failLists > 0 {
		a.failLists--
		return answer(http.StatusInternalServerError, metav1.Status{TypeMeta: statusType, Status: "Failure", Code: 500})
	}
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil {
		return nil, err
	}
	response, err := a.list(namespace, strings.TrimPrefix(query.Get("fieldSelector"), v1alpha1.FieldTrail+"="), query.Get("continue"), limit)
	if a.answerList == nil || err != nil {
		return response, err
	}
	page, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if own := a.answerList(limit, query.Get("continue"), page); own != nil {
		return own, nil
	}
	response.Body = io.NopCloser(bytes.NewReader(page))
	return response, nil
}

func (a *fakeAPI) get(namespace, name string) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gets++
	event, ok := a.events[types.NamespacedName{Namespace: namespace, Name: name}]
	if !ok {
		return notFound(name)
	}
	return answer(http.StatusOK, event)
}

// notFound names the object, as the API server does.
func notFound(name string) (*http.Response, error) {
	return answer(http.StatusNotFound, metav1.Status{
		TypeMeta: statusType, Status: "Failure", Reason: metav1.StatusReasonNotFound, Code: 404, Details: &metav1.StatusDetails{Name: name},
	})
}

func (a *fakeAPI) list(namespace, trail, token string, limit int) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pages++
	rest, version := a.lists[token], a.began[token]
	if token == "" {
		rest, version = nil, a.version
		for _, event := range a.events {
			if (namespace == "" || event.Namespace == namespace) && (trail == "" || event.Spec.TrailRef.Name == trail) {
				rest = append(rest, event)
			}
		}
		slices.SortFunc(rest, func(x, y *v1alpha1.AuditEvent) int {
			return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
		})
	}
	page := rest[:min(a.pageSize, limit, len(rest))]
	next := ""
	if len(page) < len(rest) {
		next = strconv.Itoa(len(a.lists) + 1)
		a.lists[next], a.began[next] = rest[len(page):], version
	}
	return answer(http.StatusOK, map[string]any{
		"metadata": map[string]any{"resourceVersion": apijson.FormatVersion(version), "continue": next},
		"items":    page,
	})
}

func (a *fakeAPI) openWatch(ctx context.Context, from string) (*http.Response, error) {
	version, err := apijson.ParseVersion(from)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watched = append(a.watched, version)
	if refusal := a.refuse; refusal != nil {
		a.refuse = nil
		return answer(int(refusal.Code), refusal)
	}
	var body *io.PipeReader
	body, a.watch = io.Pipe()
	watch := a.watch
	context.AfterFunc(ctx, func() { _ = watch.CloseWithError(ctx.Err()) })
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}, nil
}

var statusType = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}

func answer(code int, body any) (*http.Response, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encoding an answer: %w", err)
	}
	return &http.Response{
		StatusCode: code,
		Header:     http.Header{"Content-Type": {"application/json"}},
		Body:       io.NopCloser(strings.NewReader(string(encoded))),
	}, nil
}

// expired is what the API server says when it has no longer what a watch asks for.
func expired() *metav1.Status {
	return &metav1.Status{TypeMeta: statusType, Status: "Failure", Reason: metav1.StatusReasonExpired, Code: http.StatusGone}
}

// tooLarge is what it says about a resourceVersion from the future.
func tooLarge() *metav1.Status {
	return &metav1.Status{
		TypeMeta: statusType, Status: "Failure", Reason: metav1.StatusReasonTimeout, Code: http.StatusGatewayTimeout,
		Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: metav1.CauseTypeResourceVersionTooLarge}}},
	}
}
