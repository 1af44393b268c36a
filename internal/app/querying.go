package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/console"
	"github.com/trailkeeper/trailkeeper/internal/query/archive"
	"github.com/trailkeeper/trailkeeper/internal/query/httpapi"
)

// apiService is the Service through which people reach the query API and the console.
const apiService = "trailkeeper-api"

// Bounds of a request, so that nobody holds a connection for nothing.
const (
	apiReadTimeout = 30 * time.Second
	apiIdleTimeout = 2 * time.Minute
	apiMaxHeader   = 32 << 10
)

// addQuery answers questions about events on every replica, and serves the console.
func (o *operator) addQuery() error {
	if o.options.APIBindAddress == off {
		return nil
	}
	page, err := console.New(console.Options{Config: o.mgr.GetConfig(), Namespace: o.options.Namespace})
	if err != nil {
		return err
	}
	handler, err := httpapi.New(httpapi.Options{
		Config: o.mgr.GetConfig(), Trails: o.mgr.GetClient(), Chunks: o.direct,
		Archive: func(ctx context.Context, trail *v1alpha1.AuditTrail) (archive.Reader, error) {
			return o.opener.OpenArchive(ctx, trail)
		},
		Namespace: o.options.Namespace, ClusterID: o.clusterID, Page: page,
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.options.APIBindAddress) //nolint:noctx // It neither waits nor resolves.
	if err != nil {
		return fmt.Errorf("listening for questions (--api-bind-address): %w", err)
	}
	return o.add(&manager.Server{
		Name: "query API",
		Server: &http.Server{
			Handler: handler, ReadTimeout: apiReadTimeout, WriteTimeout: httpapi.WriteTimeout, IdleTimeout: apiIdleTimeout, MaxHeaderBytes: apiMaxHeader,
		},
		Listener: tls.NewListener(listener, &tls.Config{
			MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: o.certs.GetCertificate,
		}),
	})
}
