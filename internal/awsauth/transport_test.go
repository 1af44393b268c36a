package awsauth

import (
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
)

// endpoint takes everything and counts its connections.
type endpoint struct {
	*httptest.Server
	opened   atomic.Int64
	protocol atomic.Value
	// arrived has a token for each call, and answer one for each that may be answered.
	arrived, answer chan struct{}
}

func newEndpoint(t *testing.T, start func(*httptest.Server)) *endpoint {
	t.Helper()
	e := &endpoint{arrived: make(chan struct{}, idleConnections), answer: make(chan struct{}, idleConnections)}
	e.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.protocol.Store(r.Proto)
		e.arrived <- struct{}{}
		<-e.answer
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = w.Write([]byte(`{}`))
	}))
	e.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			e.opened.Add(1)
		}
	}
	start(e.Server)
	t.Cleanup(e.Close)
	t.Setenv("AWS_ENDPOINT_URL", e.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAOPERATOR")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "operator")
	return e
}

// callAtOnce makes so many calls, none of which is answered before all of them are there; each has a client of its own.
func (e *endpoint) callAtOnce(t *testing.T, cfg aws.Config, calls int) {
	t.Helper()
	var group errgroup.Group
	for range calls {
		group.Go(func() error {
			_, err := cloudwatchlogs.NewFromConfig(cfg).DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{})
			return err
		})
	}
	for range calls {
		<-e.arrived
	}
	for range calls {
		e.answer <- struct{}{}
	}
	NewWithT(t).Expect(group.Wait()).To(Succeed())
}

func regionOf(t *testing.T) aws.Config {
	t.Helper()
	cfg, err := New(Options{}).region(t.Context(), "eu-west-1")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return cfg
}

// TestConnectionsAreReused: many trails send at the same moment, and a second later again.
func TestConnectionsAreReused(t *testing.T) {
	g := NewWithT(t)
	e := newEndpoint(t, (*httptest.Server).Start)
	cfg := regionOf(t)
	e.callAtOnce(t, cfg, idleConnections)
	// Each connection is idle a moment after its answer was read.
	g.Eventually(func() int64 {
		before := e.opened.Load()
		e.callAtOnce(t, cfg, idleConnections/2)
		return e.opened.Load() - before
	}).Should(BeZero())
	g.Expect(e.opened.Load()).To(BeNumerically("<", idleConnections+idleConnections/2))
}

// TestHTTP2IsUsedWhereOffered, with a certificate of a private authority, as AWS_CA_BUNDLE gives it.
func TestHTTP2IsUsedWhereOffered(t *testing.T) {
	g := NewWithT(t)
	e := newEndpoint(t, func(server *httptest.Server) {
		server.EnableHTTP2 = true
		server.StartTLS()
		t.Setenv("AWS_CA_BUNDLE", writeCertificate(t, server))
	})
	cfg := regionOf(t)
	e.callAtOnce(t, cfg, 1)
	e.callAtOnce(t, cfg, 5)
	g.Expect(e.protocol.Load()).To(Equal("HTTP/2.0"))
	g.Expect(e.opened.Load()).To(BeEquivalentTo(1))
}

func writeCertificate(t *testing.T, server *httptest.Server) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "ca.pem")
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	NewWithT(t).Expect(os.WriteFile(path, encoded, 0o600)).To(Succeed())
	return path
}
