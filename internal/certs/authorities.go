package certs

import (
	"bytes"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Keys of the Secret.
const (
	currentCertKey  = "ca.crt"
	currentKeyKey   = "ca.key"
	previousCertKey = "previous.crt"
	previousKeyKey  = "previous.key"
)

// authorities are what the Secret holds: the newest authority, and the one before it while that is valid.
type authorities struct {
	current, previous *authority
}

// renewed returns authorities with a new current one, keeping the old as the previous.
func (a authorities) renewed(now time.Time, life time.Duration) (authorities, error) {
	fresh, err := newAuthority(now, life)
	return authorities{current: fresh, previous: a.current}, err
}

// needsRenewal says whether it is time for a new authority.
func (a authorities) needsRenewal(now time.Time, life time.Duration) bool {
	return a.current == nil || !now.Before(renewAt(a.current.cert, life))
}

// signer is the authority that signs leaves now.
//
// A leaf is of use only when the API server already verifies with its authority, and that takes three steps after the
// Secret was written: the leader reads it, writes the webhook configuration, and each API server sees the change.
// None of them reports back to every replica. So a new authority only joins the bundle at first, and the previous
// one, which is valid for four more months, keeps signing for a day (a twelfth of shorter lives). A leader that is away for less is harmless.
// Without a valid previous authority there is nothing to wait for: nothing else could be verified either.
func (a authorities) signer(now time.Time, publishDelay time.Duration) *authority {
	activeFrom := a.current.cert.NotBefore.Add(clockSkew + publishDelay)
	if a.previous == nil || !now.Before(activeFrom) || !now.Before(a.previous.cert.NotAfter) {
		return a.current
	}
	return a.previous
}

// includes says whether cert was signed by one of the authorities.
func (a authorities) includes(issuer []byte) bool {
	return (a.current != nil && bytes.Equal(a.current.cert.SubjectKeyId, issuer)) ||
		(a.previous != nil && bytes.Equal(a.previous.cert.SubjectKeyId, issuer))
}

// bundle is the PEM of the authorities that are valid, newest first.
func (a authorities) bundle(now time.Time) []byte {
	var bundle []byte
	for _, each := range []*authority{a.current, a.previous} {
		if each != nil && now.Before(each.cert.NotAfter) {
			bundle = append(bundle, each.certPEM()...)
		}
	}
	return bundle
}

// store writes the authorities into the Secret's data.
func (a authorities) store(secret *corev1.Secret) error {
	key, err := a.current.keyPEM()
	if err != nil {
		return err
	}
	secret.Data = map[string][]byte{currentCertKey: a.current.certPEM(), currentKeyKey: key}
	if a.previous == nil {
		return nil
	}
	if key, err = a.previous.keyPEM(); err != nil {
		return err
	}
	secret.Data[previousCertKey], secret.Data[previousKeyKey] = a.previous.certPEM(), key
	return nil
}

// parseAuthorities reads the Secret. The errors name the keys at fault and never show a value.
func parseAuthorities(secret *corev1.Secret) (authorities, error) {
	var found authorities
	var err error
	if found.current, err = parseAuthority(secret.Data[currentCertKey], secret.Data[currentKeyKey]); err != nil {
		return authorities{}, fmt.Errorf("keys %s and %s: %w", currentCertKey, currentKeyKey, err)
	}
	if len(secret.Data[previousCertKey]) == 0 && len(secret.Data[previousKeyKey]) == 0 {
		return found, nil
	}
	if found.previous, err = parseAuthority(secret.Data[previousCertKey], secret.Data[previousKeyKey]); err != nil {
		return authorities{}, fmt.Errorf("keys %s and %s: %w", previousCertKey, previousKeyKey, err)
	}
	return found, nil
}
