package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// Callers say who may call the webhook, beyond knowing its path.
type Callers struct {
	// Authorities are those that sign the client certificates of API servers. When nil no certificate is asked for.
	Authorities *x509.CertPool
	// Name is the common name that the certificate must have; empty for any.
	Name string
}

// ReadCallers reads the authorities from a PEM file; an empty path is the zero value. It fails when the file has none.
func ReadCallers(path, name string) (Callers, error) {
	if path == "" {
		return Callers{}, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return Callers{}, fmt.Errorf("reading the authorities of the webhook's callers: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return Callers{}, errors.New("reading the authorities of the webhook's callers: the file has no certificate")
	}
	return Callers{Authorities: pool, Name: name}, nil
}

// Configure has the server look at client certificates. One that does not verify ends the handshake; that there is one is
// checked with the request, so that a dial without one still shows whether the server proves itself.
func (c Callers) Configure(config *tls.Config) {
	if c.Authorities != nil {
		config.ClientAuth, config.ClientCAs = tls.VerifyClientCertIfGiven, c.Authorities
	}
}

func (c Callers) allow(r *http.Request) bool {
	if c.Authorities == nil {
		return true
	}
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return false
	}
	return c.Name == "" || r.TLS.VerifiedChains[0][0].Subject.CommonName == c.Name
}

// Guard lets through who knows the token, at path/TOKEN, and is one of the callers. Of everybody else it tells stranger, and
// answers as if there were nothing. It fits the pattern path/ of a ServeMux.
func (r *Rotator) Guard(path string, callers Callers, stranger func(), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		token := strings.TrimPrefix(request.URL.Path, path+"/")
		if !r.accepts(token) || !callers.allow(request) {
			stranger()
			http.NotFound(w, request)
			return
		}
		next.ServeHTTP(w, request)
	})
}
