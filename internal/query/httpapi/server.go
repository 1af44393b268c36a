package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/query"
	"github.com/trailkeeper/trailkeeper/internal/query/archive"
)

const (
	// answerTimeout bounds a request that is answered with one page.
	answerTimeout = time.Minute
	// WriteTimeout is what the server that has this handler gives a request, reading the answer included. Exports bound each write
	// instead.
	WriteTimeout = answerTimeout + 30*time.Second
	// maxAnswers and maxExports bound what is answered at a time. A page of the largest events takes about thirty megabytes while it
	// is made, and must not take the memory of the recorder, which is the same process; an export holds a smaller one at a time.
	maxAnswers = 6
	maxExports = 4
	// maxWaiting bounds the requests that wait for others to be answered, and patience how long they do.
	maxWaiting = 64
	patience   = 5 * time.Second
	// maxNoteBody bounds the body of a note.
	maxNoteBody = 8 << 10
)

// Options of the API.
type Options struct {
	// Config says how the API server is reached. Its credentials are never used, unless there is a Key: each call has the caller's
	// token.
	Config *rest.Config
	// Key, when it is set, is the only token that is accepted, and whoever has it acts with Config's own credentials: for somebody
	// who serves the API to nobody else.
	Key string
	// Trails lists AuditTrails; a cache will do. They tell where events are, and up to where outcomes were found out.
	Trails client.Reader
	// Chunks lists and gets AuditEventChunks, which callers may not read themselves; nil leaves out what is in them.
	Chunks client.Reader
	// Archive opens what a trail pushed to CloudWatch Logs, for events that the cluster has no longer; nil leaves them out.
	Archive func(ctx context.Context, trail *v1alpha1.AuditTrail) (archive.Reader, error)
	// Namespace is the operator's own, whose trails see the whole cluster.
	Namespace string
	// ClusterID is the only tenant there is.
	ClusterID string
	// Page answers what is not the API's; nil answers 404.
	Page http.Handler
}

// server answers requests.
type server struct {
	options Options
	callers *callers
	memory  *query.Memory
	answers *slots
	exports *slots
}

// New is the handler of the API. It fails when the API server cannot be reached as configured.
func New(options Options) (http.Handler, error) {
	callers, err := newCallers(options.Config, options.Key)
	if err != nil {
		return nil, err
	}
	s := &server{
		options: options, callers: callers, memory: query.NewMemory(),
		answers: newSlots(maxAnswers), exports: newSlots(maxExports),
	}
	mux := http.NewServeMux()
	for pattern, answer := range map[string]answer{
		"GET /v1/audits":                 s.listAudits,
		"GET /v1/audits/{uid}":           s.getAudit,
		"GET /v1/audits/{uid}/sysMsg":    s.getMessages,
		"PATCH /v1/audits/{uid}/userMsg": s.putNote,
		"GET /v1alpha1/events":           s.listEvents,
	} {
		mux.Handle(pattern, s.handle(s.answers, answerTimeout, answer))
	}
	// An export takes as long as its reader; each write has a deadline of its own.
	mux.Handle("GET /v1/audits.csv", s.handle(s.exports, 0, s.export))
	mux.HandleFunc("GET /openapi.json", serveDocument)
	mux.Handle("/v1/", http.HandlerFunc(nothing))
	if options.Page != nil {
		mux.Handle("/", options.Page)
	} else {
		mux.Handle("/", http.HandlerFunc(nothing))
	}
	return mux, nil
}

// call is one request of a caller.
type call struct {
	*http.Request
	w      http.ResponseWriter
	client client.Client
}

// answer writes an answer, or returns why there is none before it has written anything.
type answer func(ctx context.Context, c *call) error

// handle finds out who calls, and answers unless too many are being answered.
func (s *server) handle(slots *slots, timeout time.Duration, answer answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		token, problem := tokenOf(r)
		if problem != nil {
			problem.write(w)
			return
		}
		if !slots.take(r.Context()) {
			busy("Too many questions at a time: ask again in a moment").write(w)
			return
		}
		defer slots.leave()
		ctx := r.Context()
		if timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		caller, err := s.callers.client(token)
		if err == nil {
			err = answer(ctx, &call{Request: r, w: w, client: caller})
		}
		if err != nil && r.Context().Err() == nil {
			s.refuse(ctx, w, r, err)
		}
	})
}

func (s *server) refuse(ctx context.Context, w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errUnfinished) {
		// The status is out, so a broken connection is the only way to say that there is more.
		log.FromContext(ctx).Error(err, "An export ends early")
		panic(http.ErrAbortHandler)
	}
	verb := "list"
	if r.Method == http.MethodPatch {
		verb = "patch"
	}
	namespace := s.options.Namespace
	if project, problem := projectOf(r); problem == nil && project != "" {
		namespace = project
	}
	problemOf(ctx, err, verb, namespace).write(w)
}

func nothing(w http.ResponseWriter, _ *http.Request) {
	notFound("There is nothing here: /openapi.json describes what there is").write(w)
}
