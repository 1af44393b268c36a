package certs

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
)

// A token is the part of the webhook's paths that nobody can guess. Only the webhook configuration has it, so whoever reaches
// the webhook's port without being an API server does not. It follows from an authority's key: the replicas agree on it without
// another Secret, and it is replaced with the authority.

const (
	tokenBytes = 16
	tokenUse   = "trailkeeper webhook path"
)

// tokens are those of the authorities, in the same order; empty for one that is not there.
type tokens struct {
	current, previous string
}

func (a *authority) token() (string, error) {
	if a == nil {
		return "", nil
	}
	key, err := a.key.Bytes()
	if err != nil {
		return "", fmt.Errorf("reading the authority's key: %w", err)
	}
	token, err := hkdf.Key(sha256.New, key, nil, tokenUse, tokenBytes)
	if err != nil {
		return "", fmt.Errorf("deriving the token of the webhook's paths: %w", err)
	}
	return hex.EncodeToString(token), nil
}

func (a authorities) tokens() (tokens, error) {
	current, err := a.current.token()
	if err != nil {
		return tokens{}, err
	}
	previous, err := a.previous.token()
	return tokens{current, previous}, err
}

// Token is what the webhook configuration's paths end in; empty before the first refresh. A new authority's is used when it
// signs, by when all replicas know it.
func (r *Rotator) Token() string {
	now := r.clock.Now()
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.known.current == nil {
		return ""
	}
	if r.known.signer(now, r.lives.publishDelay()) == r.known.previous {
		return r.tokens.previous
	}
	return r.tokens.current
}

// accepts says whether a caller knows the token of an authority that is valid.
func (r *Rotator) accepts(presented string) bool {
	now := r.clock.Now()
	r.mu.RLock()
	defer r.mu.RUnlock()
	known := isToken(presented, r.tokens.current)
	if r.known.previous != nil && now.Before(r.known.previous.cert.NotAfter) {
		known = isToken(presented, r.tokens.previous) || known
	}
	return known
}

func isToken(presented, token string) bool {
	return token != "" && subtle.ConstantTimeCompare([]byte(presented), []byte(token)) == 1
}
