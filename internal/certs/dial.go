package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"time"
)

// dialTimeout bounds a connection: it is what the API server waits for the webhook.
const dialTimeout = 5 * time.Second

// Verify connects to an address as an API server would that has the present bundle, and fails unless whoever answers proves
// to be the webhook.
func (r *Rotator) Verify(ctx context.Context, address string) error {
	bundle := r.Bundle()
	if len(bundle) == 0 {
		return errNotReady
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("connecting to the webhook: %w", err)
	}
	defer func() { _ = connection.Close() }()
	config := &tls.Config{RootCAs: roots, ServerName: r.hosts[0], Time: r.clock.Now, MinVersion: tls.VersionTLS12}
	if err := tls.Client(connection, config).HandshakeContext(ctx); err != nil {
		return fmt.Errorf("verifying the webhook at %s: %w", address, err)
	}
	return nil
}
