package console

import (
	"fmt"
	"net/http"

	"k8s.io/client-go/rest"
)

// Options say where the page finds what it shows.
type Options struct {
	// Config is how the API server is reached. Its credentials are never used, unless there is a Key: each call has the viewer's
	// token.
	Config *rest.Config
	// Key, when it is set, is the only token that is accepted, and whoever has it acts with Config's own credentials: for somebody
	// who serves the page to nobody else.
	Key string
	// Namespace is the operator's own, whose trails see the whole cluster.
	Namespace string
}

// New is the handler of the page and of its calls for trails and single events. It fails when the API server cannot be reached
// as configured.
func New(options Options) (http.Handler, error) {
	page, err := newPage(options.Namespace)
	if err != nil {
		return nil, err
	}
	config := options.Config
	if options.Key == "" {
		config = rest.AnonymousClientConfig(config)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for the console: %w", err)
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("finding the API server for the console: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", page)
	forward := &forwarder{client: client, base: base, key: options.Key}
	for _, route := range routes {
		mux.Handle(route.pattern, forward.handler(route))
	}
	// Nothing here goes by cookies, so another site's page has nothing to ride on; it is refused all the same.
	return http.NewCrossOriginProtection().Handler(mux), nil
}
