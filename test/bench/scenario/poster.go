package scenario

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"k8s.io/client-go/rest"
)

// poster creates objects from encoded bodies, without a rate limit of its own and with as little work as possible, so
// that what is measured is the server.
type poster struct {
	client *http.Client
	host   string
	accept string
}

func newPoster(config *rest.Config) (*poster, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return &poster{client: client, host: config.Host, accept: "application/json"}, nil
}

// post creates an object and fails unless the API server says that it did.
func (p *poster) post(ctx context.Context, path string, body []byte) error {
	//nolint:gosec // The host is the benchmark's own control plane.
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.host+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("creating an object: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", p.accept)
	response, err := p.client.Do(request) //nolint:gosec // The host is the benchmark's own control plane.
	if err != nil {
		return fmt.Errorf("creating an object: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("creating an object: %w", err)
	}
	if response.StatusCode != http.StatusCreated {
		return fmt.Errorf("creating an object: %s: %.500s", response.Status, answer)
	}
	return nil
}
