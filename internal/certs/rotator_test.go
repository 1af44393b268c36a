package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const (
	namespace  = "trailkeeper-system"
	serverName = "trailkeeper-webhook." + namespace + ".svc"
	day        = 24 * time.Hour
)

func replica(t *testing.T, c client.Client, clock *testingclock.FakeClock) *Rotator {
	t.Helper()
	r, err := NewRotator(c, Options{Namespace: namespace, Service: "trailkeeper-webhook", URL: "https://127.0.0.1:9443/", Clock: clock})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return r
}

func newClock() *testingclock.FakeClock {
	return testingclock.NewFakeClock(time.Now().Truncate(time.Second))
}

// shake makes a TLS connection to the replica as an API server would that has the bundle.
func shake(t *testing.T, server *Rotator, bundle []byte, name string, now func() time.Time) error {
	t.Helper()
	g := NewWithT(t)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bundle)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	var serving sync.WaitGroup
	serving.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		// The client's side tells what was wrong.
		_ = tls.Server(conn, &tls.Config{GetCertificate: server.GetCertificate, MinVersion: tls.VersionTLS13}).HandshakeContext(t.Context())
		_ = conn.Close()
	})
	defer serving.Wait()
	defer func() { _ = listener.Close() }()
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", listener.Addr().String())
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = conn.Close() }()
	return tls.Client(conn, &tls.Config{RootCAs: pool, ServerName: name, Time: now, MinVersion: tls.VersionTLS13}).HandshakeContext(t.Context())
}

func stored(t *testing.T, c client.Client) *corev1.Secret {
	t.Helper()
	var secret corev1.Secret
	NewWithT(t).Expect(c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: SecretName}, &secret)).To(Succeed())
	return &secret
}

func TestFirstStartMakesAnAuthorityAndServes(t *testing.T) {
	g := NewWithT(t)
	clock := newClock()
	c := fake.NewClientBuilder().Build()
	r := replica(t, c, clock)
	g.Expect(r.Ready(nil)).To(MatchError(errNotReady))
	g.Expect(r.Bundle()).To(BeEmpty())

	g.Expect(r.Refresh(t.Context())).To(Succeed())
	g.Expect(r.Ready(nil)).To(Succeed())
	g.Expect(r.Changed()).To(Receive())
	g.Expect(r.Bundle()).To(Equal(stored(t, c).Data[currentCertKey]))
	authority, serving := r.Expiry()
	g.Expect(authority).To(BeTemporally("==", clock.Now().Add(DefaultLifetimes.Authority)))
	g.Expect(serving).To(BeTemporally("==", clock.Now().Add(DefaultLifetimes.Serving)))
	for _, name := range []string{serverName, "127.0.0.1"} {
		g.Expect(shake(t, r, r.Bundle(), name, clock.Now)).To(Succeed())
	}
	g.Expect(shake(t, r, r.Bundle(), "elsewhere.example", clock.Now)).NotTo(Succeed())

	g.Expect(r.Refresh(t.Context())).To(Succeed())
	g.Expect(r.Changed()).NotTo(Receive(), "nothing changed")
}

func TestReplicasShareOneAuthority(t *testing.T) {
	g := NewWithT(t)
	clock := newClock()
	c := fake.NewClientBuilder().Build()
	replicas := make([]*Rotator, 5)
	errs := make([]error, len(replicas))
	var starting sync.WaitGroup
	for i := range replicas {
		replicas[i] = replica(t, c, clock)
		starting.Go(func() { errs[i] = replicas[i].Refresh(t.Context()) })
	}
	starting.Wait()
	for i, r := range replicas {
		g.Expect(errs[i]).NotTo(HaveOccurred())
		g.Expect(r.Bundle()).To(Equal(replicas[0].Bundle()))
		g.Expect(shake(t, r, replicas[0].Bundle(), serverName, clock.Now)).To(Succeed())
	}
	one, _ := replicas[0].GetCertificate(nil)
	other, _ := replicas[1].GetCertificate(nil)
	g.Expect(one.Leaf.Equal(other.Leaf)).To(BeFalse(), "leaves are each replica's own")
}

// TestRotationNeverBreaksAConnection walks through two years in steps of a day, with replicas that renew their leaves
// on different days, and an API server that verifies with a bundle as old as it may be: every connection must succeed.
func TestRotationNeverBreaksAConnection(t *testing.T) {
	g := NewWithT(t)
	clock := newClock()
	c := fake.NewClientBuilder().Build()
	const step = 24 * time.Hour
	var replicas []*Rotator
	var published [][]byte
	bundles, leaves := map[string]bool{}, map[string]bool{}
	for range int(2 * DefaultLifetimes.Authority / step) {
		if len(replicas) < int(DefaultLifetimes.Serving/step) {
			replicas = append(replicas, replica(t, c, clock))
		}
		for _, r := range replicas {
			g.Expect(r.Refresh(t.Context())).To(Succeed())
		}
		published = append(published, replicas[0].Bundle())
		stale := published[max(0, len(published)-1-int(longestPublishDelay/step))]
		bundles[string(replicas[0].Bundle())] = true
		turn := replicas[len(published)%len(replicas)]
		for _, r := range replicas {
			leaf, err := r.GetCertificate(nil)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(leaf.Leaf.NotAfter.Sub(clock.Now())).To(BeNumerically(">", 2*day))
			if fresh := string(leaf.Certificate[0]); r == turn || !leaves[fresh] {
				leaves[fresh] = true
				g.Expect(shake(t, r, stale, serverName, clock.Now)).To(Succeed())
			}
		}
		clock.Step(step)
	}
	g.Expect(len(bundles)).To(BeNumerically(">=", 3), "two renewals, and what expires leaves the bundle")
	g.Expect(len(leaves)).To(BeNumerically(">", len(replicas)*2*365/7))
}

func TestRotationKeepsThePreviousAuthority(t *testing.T) {
	g := NewWithT(t)
	clock := newClock()
	c := fake.NewClientBuilder().Build()
	r := replica(t, c, clock)
	g.Expect(r.Refresh(t.Context())).To(Succeed())
	g.Expect(r.Changed()).To(Receive())
	before := r.Bundle()

	clock.Step(DefaultLifetimes.Authority * 2 / 3)
	g.Expect(r.Refresh(t.Context())).To(Succeed())
	g.Expect(r.Changed()).To(Receive())
	g.Expect(r.Bundle()).To(HaveSuffix(string(before)))
	g.Expect(len(r.Bundle())).To(BeNumerically(">", len(before)))
	g.Expect(stored(t, c).Data).To(And(HaveKey(currentKeyKey), HaveKey(previousKeyKey)))
	g.Expect(shake(t, r, before, serverName, clock.Now)).To(Succeed(), "the new authority is published before it signs")

	clock.Step(DefaultLifetimes.Serving)
	g.Expect(r.Refresh(t.Context())).To(Succeed())
	g.Expect(shake(t, r, r.Bundle(), serverName, clock.Now)).To(Succeed())
	g.Expect(shake(t, r, before, serverName, clock.Now)).NotTo(Succeed(), "now the new authority signs")

	clock.Step(DefaultLifetimes.Authority / 3)
	g.Expect(r.Refresh(t.Context())).To(Succeed())
	g.Expect(r.Bundle()).NotTo(ContainSubstring(string(before)), "the expired one is not handed out")
}

func TestAnInstallationThatWasOffForAYearRecovers(t *testing.T) {
	g := NewWithT(t)
	clock := newClock()
	c := fake.NewClientBuilder().Build()
	g.Expect(replica(t, c, clock).Refresh(t.Context())).To(Succeed())
	clock.Step(DefaultLifetimes.Authority + day)
	r := replica(t, c, clock)
	g.Expect(r.Refresh(t.Context())).To(Succeed())
	g.Expect(shake(t, r, r.Bundle(), serverName, clock.Now)).To(Succeed())
}

func TestALeafDoesNotOutliveItsAuthority(t *testing.T) {
	g := NewWithT(t)
	clock := newClock()
	c := fake.NewClientBuilder().Build()
	g.Expect(replica(t, c, clock).Refresh(t.Context())).To(Succeed())
	clock.Step(DefaultLifetimes.Authority - 3*day) // off for so long that the renewal is late
	r := replica(t, c, clock)
	for range 10 {
		g.Expect(r.Refresh(t.Context())).To(Succeed())
		g.Expect(shake(t, r, r.Bundle(), serverName, clock.Now)).To(Succeed())
		clock.Step(day)
	}
}

func TestABrokenSecretIsReplaced(t *testing.T) {
	breakages := map[string]func(*corev1.Secret){
		"empty":             func(s *corev1.Secret) { s.Data = nil },
		"not PEM":           func(s *corev1.Secret) { s.Data[currentCertKey] = []byte("hunter2") },
		"key gone":          func(s *corev1.Secret) { delete(s.Data, currentKeyKey) },
		"previous half":     func(s *corev1.Secret) { s.Data[previousCertKey] = s.Data[currentCertKey] },
		"key of another CA": func(s *corev1.Secret) { s.Data[currentKeyKey] = foreign().Data[currentKeyKey] },
	}
	for name, breakIt := range breakages {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			clock := newClock()
			c := fake.NewClientBuilder().Build()
			running := replica(t, c, clock)
			g.Expect(running.Refresh(t.Context())).To(Succeed())
			before := running.Bundle()
			secret := stored(t, c)
			breakIt(secret)
			g.Expect(c.Update(t.Context(), secret)).To(Succeed())

			ctx, logged := logging(t.Context())
			g.Expect(running.Refresh(ctx)).To(Succeed())
			g.Expect(logged()).To(ContainSubstring("Replacing the certificate authorities"))
			g.Expect(logged()).NotTo(Or(ContainSubstring("hunter2"), ContainSubstring("PRIVATE KEY")))
			g.Expect(running.Bundle()).To(Equal(before), "a replica puts back what it remembers")

			breakIt(secret)
			secret.ResourceVersion = ""
			g.Expect(c.Update(t.Context(), secret)).To(Succeed())
			restarted := replica(t, c, clock)
			g.Expect(restarted.Refresh(ctx)).To(Succeed())
			g.Expect(shake(t, restarted, restarted.Bundle(), serverName, clock.Now)).To(Succeed())
			g.Expect(running.Refresh(ctx)).To(Succeed())
			g.Expect(running.Bundle()).To(Equal(restarted.Bundle()))
			g.Expect(shake(t, running, restarted.Bundle(), serverName, clock.Now)).To(Succeed(), "a leaf whose authority is gone is replaced at once")
		})
	}
}

func foreign() *corev1.Secret {
	var secret corev1.Secret
	fresh, err := authorities{}.renewed(time.Now(), DefaultLifetimes.Authority)
	if err != nil {
		panic(err)
	}
	if err := fresh.store(&secret); err != nil {
		panic(err)
	}
	return &secret
}

func logging(ctx context.Context) (context.Context, func() string) {
	var mu sync.Mutex
	var lines strings.Builder
	sink := funcr.New(func(_, args string) {
		mu.Lock()
		defer mu.Unlock()
		lines.WriteString(args + "\n")
	}, funcr.Options{Verbosity: 10})
	return log.IntoContext(ctx, logr.New(sink.GetSink())), func() string {
		mu.Lock()
		defer mu.Unlock()
		return lines.String()
	}
}

func TestStartRetriesAndStops(t *testing.T) {
	g := NewWithT(t)
	clock := newClock()
	var calls atomic.Int64
	c := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if _, bounded := ctx.Deadline(); !bounded {
				return errors.New("no deadline")
			}
			if calls.Add(1) <= 2 {
				return errors.New("connection refused")
			}
			return c.Get(ctx, key, obj, opts...)
		},
	}).Build()
	r := replica(t, c, clock)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = r.Start(ctx) })
	for _, delay := range []time.Duration{retryFirst, 2 * retryFirst} {
		g.Eventually(clock.HasWaiters).Should(BeTrue())
		g.Expect(r.Ready(nil)).To(MatchError(errNotReady))
		clock.Step(delay * 12 / 10)
	}
	g.Eventually(func() error { return r.Ready(nil) }).Should(Succeed())
	g.Eventually(clock.HasWaiters).Should(BeTrue())
	cancel()
	running.Wait()
	g.Expect(calls.Load()).To(Equal(int64(3)))
}

func TestNewRotatorRefusesAURLWithoutHost(t *testing.T) {
	_, err := NewRotator(nil, Options{URL: "127.0.0.1"})
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("names no host")))
}
