package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

// calls counts who was let through, and who was not.
type calls struct{ let, strangers int }

func (c *calls) guard(r *Rotator, callers Callers) http.Handler {
	return r.Guard("/record", callers, func() { c.strangers++ }, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { c.let++ }))
}

func get(handler http.Handler, path string, state *tls.ConnectionState) int {
	request := httptest.NewRequestWithContext(context.Background(), http.MethodPost, path, http.NoBody)
	request.TLS = state
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	return answer.Code
}

func TestReplicasAgreeOnATokenThatNobodyGuesses(t *testing.T) {
	g := NewWithT(t)
	clock := newClock()
	c := fake.NewClientBuilder().Build()
	one, other := replica(t, c, clock), replica(t, c, clock)
	count := &calls{}
	g.Expect(one.Token()).To(BeEmpty())
	g.Expect(get(count.guard(one, Callers{}), "/record/", nil)).To(Equal(http.StatusNotFound), "before there is a token nobody is let in")
	g.Expect(one.Refresh(t.Context())).To(Succeed())
	g.Expect(other.Refresh(t.Context())).To(Succeed())
	g.Expect(one.Token()).To(HaveLen(2 * tokenBytes))
	g.Expect(other.Token()).To(Equal(one.Token()))
	g.Expect(string(stored(t, c).Data[currentKeyKey])).NotTo(ContainSubstring(one.Token()))

	guarded := count.guard(other, Callers{})
	for path, want := range map[string]int{
		"/record/" + one.Token(): http.StatusOK, "/record/": http.StatusNotFound, "/record": http.StatusNotFound,
		"/record/" + one.Token()[1:]: http.StatusNotFound, "/record/" + one.Token() + "/": http.StatusNotFound,
		"/other/" + one.Token(): http.StatusNotFound,
	} {
		g.Expect(get(guarded, path, nil)).To(Equal(want), path)
	}
	g.Expect(*count).To(Equal(calls{let: 1, strangers: 6}))
}

// TestATokenIsReplacedWithItsAuthority: the webhook configuration gets a new one only when every replica knows it, and the old
// one is good for as long as its authority.
func TestATokenIsReplacedWithItsAuthority(t *testing.T) {
	g := NewWithT(t)
	clock := newClock()
	c := fake.NewClientBuilder().Build()
	r := replica(t, c, clock)
	g.Expect(r.Refresh(t.Context())).To(Succeed())
	first := r.Token()
	clock.Step(DefaultLifetimes.Authority * 2 / 3)
	g.Expect(r.Refresh(t.Context())).To(Succeed())
	g.Expect(r.Token()).To(Equal(first), "the new authority does not sign yet")
	g.Expect(r.accepts(r.tokens.current)).To(BeTrue(), "another replica's leader may be ahead")

	clock.Step(longestPublishDelay)
	g.Expect(r.Token()).NotTo(Equal(first))
	g.Expect(r.accepts(first)).To(BeTrue(), "API servers learn of the new one in a while")
	clock.Step(DefaultLifetimes.Authority / 3)
	g.Expect(r.accepts(first)).To(BeFalse(), "its authority has expired")
}

func TestCallersShowACertificate(t *testing.T) {
	g := NewWithT(t)
	r := replica(t, fake.NewClientBuilder().Build(), newClock())
	g.Expect(r.Refresh(t.Context())).To(Succeed())
	file := filepath.Join(t.TempDir(), "ca.crt")
	g.Expect(os.WriteFile(file, r.Bundle(), 0o600)).To(Succeed())
	callers, err := ReadCallers(file, "kube-apiserver")
	g.Expect(err).NotTo(HaveOccurred())
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	callers.Configure(config)
	g.Expect(config.ClientAuth).To(Equal(tls.VerifyClientCertIfGiven))
	g.Expect(config.ClientCAs).NotTo(BeNil())

	verified := func(name string) *tls.ConnectionState {
		return &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{Subject: pkix.Name{CommonName: name}}}}}
	}
	count := &calls{}
	for _, test := range []struct {
		callers Callers
		state   *tls.ConnectionState
		want    int
	}{
		{callers, verified("kube-apiserver"), http.StatusOK},
		{callers, verified("mallory"), http.StatusNotFound},
		{callers, &tls.ConnectionState{}, http.StatusNotFound},
		{callers, nil, http.StatusNotFound},
		{Callers{Authorities: callers.Authorities}, verified("anybody"), http.StatusOK},
		{Callers{}, &tls.ConnectionState{}, http.StatusOK},
	} {
		g.Expect(get(count.guard(r, test.callers), "/record/"+r.Token(), test.state)).To(Equal(test.want), "%+v", test)
	}
	g.Expect(*count).To(Equal(calls{let: 3, strangers: 3}))
}

func TestReadCallers(t *testing.T) {
	g := NewWithT(t)
	none, err := ReadCallers("", "")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(none.Authorities).To(BeNil())
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	none.Configure(config)
	g.Expect(config.ClientAuth).To(Equal(tls.NoClientCert))
	empty := filepath.Join(t.TempDir(), "empty")
	g.Expect(os.WriteFile(empty, []byte("hunter2"), 0o600)).To(Succeed())
	for _, path := range []string{empty, empty + ".missing"} {
		_, err := ReadCallers(path, "")
		g.Expect(err).To(MatchError(ContainSubstring("reading the authorities of the webhook's callers")))
		g.Expect(err.Error()).NotTo(ContainSubstring("hunter2"))
	}
}
