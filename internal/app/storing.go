package app

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// witness notes when the API server stored something that this replica asked it to.
type witness struct {
	clock clock.PassiveClock
	// last is nil before the first time.
	last atomic.Pointer[time.Time]
}

// watchStoring has what clients of a configuration ask for noted.
func watchStoring(config *rest.Config, clock clock.PassiveClock) *witness {
	w := &witness{clock: clock}
	config.Wrap(w.watch)
	return w
}

// LastStored is when that was, the last time; zero before the first.
func (w *witness) LastStored() time.Time {
	if last := w.last.Load(); last != nil {
		return *last
	}
	return time.Time{}
}

// watch notes what comes back from the API server.
func (w *witness) watch(next http.RoundTripper) http.RoundTripper {
	return watched{w, next}
}

type watched struct {
	*witness
	next http.RoundTripper
}

func (w watched) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := w.next.RoundTrip(request)
	if err == nil && stores(request) && response.StatusCode < http.StatusMultipleChoices {
		now := w.clock.Now()
		w.last.Store(&now)
	}
	return response, err
}

// WrappedRoundTripper lets the libraries find what is below.
func (w watched) WrappedRoundTripper() http.RoundTripper { return w.next }

// stores says that the request is one for etcd: the API server also answers reviews of tokens and rights, which are creations, by itself.
func stores(request *http.Request) bool {
	switch request.Method {
	case http.MethodPut, http.MethodPatch:
		return true
	case http.MethodPost:
		return strings.HasSuffix(request.URL.Path, "/"+v1alpha1.AuditEventsResource.Resource)
	default:
		return false
	}
}
