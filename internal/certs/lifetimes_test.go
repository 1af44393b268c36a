package certs

import (
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

// TestShortLivesAreRenewedInTime: what begins in the past, for clocks that are behind, is not old from the start, and a new
// authority is published for long enough before it signs.
func TestShortLivesAreRenewedInTime(t *testing.T) {
	g := NewWithT(t)
	clock := newClock()
	c := fake.NewClientBuilder().Build()
	lives := Lifetimes{Authority: 2 * time.Minute, Serving: 20 * time.Second}
	r, err := NewRotator(c, Options{Namespace: namespace, Service: "trailkeeper-webhook", Clock: clock, Lifetimes: lives})
	g.Expect(err).NotTo(HaveOccurred())
	bundles, tokens, leaves := map[string]time.Time{}, map[string]bool{}, map[string]bool{}
	for range 480 {
		g.Expect(r.Refresh(t.Context())).To(Succeed())
		if _, known := bundles[string(r.Bundle())]; !known {
			bundles[string(r.Bundle())] = clock.Now()
		}
		leaf, err := r.GetCertificate(nil)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(leaf.Leaf.NotAfter).To(BeTemporally(">", clock.Now().Add(lives.Serving/4)))
		leaves[string(leaf.Certificate[0])], tokens[r.Token()] = true, true
		clock.Step(time.Second)
	}
	// Eight minutes: an authority every 80 s, a leaf every 14 s. Each authority but the first comes and the one before it goes.
	g.Expect(tokens).To(HaveLen(6))
	g.Expect(len(bundles)).To(BeNumerically("~", 11, 1))
	g.Expect(len(leaves)).To(BeNumerically("~", 35, 5))
}

// TestAShorterLifeHoldsForWhatIsThere: whoever asks for a shorter life does not wait for most of a year.
func TestAShorterLifeHoldsForWhatIsThere(t *testing.T) {
	g := NewWithT(t)
	clock := newClock()
	c := fake.NewClientBuilder().Build()
	g.Expect(replica(t, c, clock).Refresh(t.Context())).To(Succeed())
	clock.Step(30 * day)
	short, err := NewRotator(c, Options{
		Namespace: namespace, Service: "trailkeeper-webhook", Clock: clock, Lifetimes: Lifetimes{Authority: 40 * day, Serving: day},
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(short.Refresh(t.Context())).To(Succeed())
	authority, _ := short.Expiry()
	g.Expect(authority).To(BeTemporally("==", clock.Now().Add(40*day)))
}

func TestVerifyTellsWhoAnswers(t *testing.T) {
	g := NewWithT(t)
	clock := newClock()
	r, stranger := replica(t, fake.NewClientBuilder().Build(), clock), replica(t, fake.NewClientBuilder().Build(), clock)
	g.Expect(r.Verify(t.Context(), "127.0.0.1:1")).To(MatchError(errNotReady))
	g.Expect(r.Refresh(t.Context())).To(Succeed())
	g.Expect(stranger.Refresh(t.Context())).To(Succeed())
	address := serve(t, r)
	g.Expect(r.Verify(t.Context(), address)).To(Succeed())
	g.Expect(stranger.Verify(t.Context(), address)).To(MatchError(ContainSubstring("verifying the webhook")))
	g.Expect(r.Verify(t.Context(), "127.0.0.1:1")).To(MatchError(ContainSubstring("connecting to the webhook")))
	clock.Step(DefaultLifetimes.Serving + time.Minute)
	g.Expect(r.Verify(t.Context(), address)).To(MatchError(ContainSubstring("expired")))
}

// serve answers TLS handshakes until the test's end.
func serve(t *testing.T, r *Rotator) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			// The client's side tells what was wrong.
			_ = tls.Server(conn, &tls.Config{GetCertificate: r.GetCertificate, MinVersion: tls.VersionTLS13}).HandshakeContext(t.Context())
			_ = conn.Close()
		}
	})
	t.Cleanup(func() { _ = listener.Close(); serving.Wait() })
	return listener.Addr().String()
}
