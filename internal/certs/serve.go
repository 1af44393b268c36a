package certs

import (
	"crypto/tls"
	"errors"
	"net/http"
	"time"
)

var errNotReady = errors.New("the webhook has no serving certificate yet")

// GetCertificate returns the serving certificate; it fits tls.Config.GetCertificate. It fails until the first refresh.
func (r *Rotator) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.leaf == nil {
		return nil, errNotReady
	}
	return r.leaf, nil
}

// Ready fails until there is a serving certificate; it fits healthz.Checker.
func (r *Rotator) Ready(*http.Request) error {
	_, err := r.GetCertificate(nil)
	return err
}

// Bundle is the PEM of the authorities by which the serving certificates of all replicas can be verified; nil before
// the first refresh. The caller must not change it.
func (r *Rotator) Bundle() []byte {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.bundle
}

// Changed receives once after the bundle has changed, however often. It has one reader: the writer of the webhook
// configuration.
func (r *Rotator) Changed() <-chan struct{} { return r.changed }

// Expiry is until when the current authority and the serving certificate are valid; zero before the first refresh.
func (r *Rotator) Expiry() (authority, serving time.Time) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.leaf == nil {
		return time.Time{}, time.Time{}
	}
	return r.known.current.cert.NotAfter, r.leaf.Leaf.NotAfter
}

func (r *Rotator) remembered() authorities {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.known
}
