package ledger

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// KeySize is the size of a key's seed and of a public key, in bytes.
const KeySize = ed25519.SeedSize

// keyFormat begins what an endorsement signs, so that it can never be taken for an entry.
const keyFormat = "trailkeeper.dev/ledger-key/v1"

// Key signs entries, by Ed25519. It prints as its id.
type Key struct{ private ed25519.PrivateKey }

// NewKey draws a key.
func NewKey() Key {
	seed := make([]byte, KeySize)
	_, _ = rand.Read(seed) // never fails: crypto/rand ends the program instead
	return Key{ed25519.NewKeyFromSeed(seed)}
}

// KeyFromSeed is the key of a seed of KeySize bytes.
func KeyFromSeed(seed []byte) (Key, error) {
	if len(seed) != KeySize {
		return Key{}, fmt.Errorf("a key's seed has %d bytes, this one has %d", KeySize, len(seed))
	}
	return Key{ed25519.NewKeyFromSeed(seed)}, nil
}

// Seed is the secret from which KeyFromSeed makes the key again.
func (k Key) Seed() []byte { return k.private.Seed() }

// Public is the key's public half.
func (k Key) Public() PublicKey {
	public, _ := k.private.Public().(ed25519.PublicKey)
	return PublicKey(public)
}

// String is the key's id, so that no message shows the key.
func (k Key) String() string { return k.Public().ID() }

// GoString is String, for %#v.
func (k Key) GoString() string { return k.String() }

func (k Key) sign(message []byte) string {
	return base64.StdEncoding.EncodeToString(ed25519.Sign(k.private, message))
}

// PublicKey checks what a Key signed.
type PublicKey []byte

// ParsePublicKey reads what String writes.
func ParsePublicKey(text string) (PublicKey, error) {
	decoded, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("a public key is not base64: %w", err)
	}
	if len(decoded) != KeySize {
		return nil, fmt.Errorf("a public key has %d bytes, this one has %d", KeySize, len(decoded))
	}
	return PublicKey(decoded), nil
}

// String is the key in base64.
func (p PublicKey) String() string { return base64.StdEncoding.EncodeToString(p) }

// ID is short for the key: the first 32 hexadecimal digits of its SHA-256.
func (p PublicKey) ID() string {
	sum := sha256.Sum256(p)
	return hex.EncodeToString(sum[:16])
}

func (p PublicKey) signed(message []byte, signature string) bool {
	decoded, err := base64.StdEncoding.Strict().DecodeString(signature)
	return err == nil && len(p) == KeySize && ed25519.Verify(ed25519.PublicKey(p), message, decoded)
}

// Announcement makes a key known to readers of a ledger.
type Announcement struct {
	ID        string `json:"id"`
	PublicKey string `json:"publicKey"`
	// PreviousID is the key that this one replaces, and Endorsement that key's signature. Both are empty for the first key.
	PreviousID  string `json:"previousID,omitempty"`
	Endorsement string `json:"endorsement,omitempty"`
}

// Announce makes a first key known.
func Announce(key PublicKey) Announcement {
	return Announcement{ID: key.ID(), PublicKey: key.String()}
}

// Endorse makes known that next replaces the key.
func (k Key) Endorse(next PublicKey) (Announcement, error) {
	a := Announce(next)
	a.PreviousID = k.Public().ID()
	statement, err := a.statement()
	if err != nil {
		return Announcement{}, err
	}
	a.Endorsement = k.sign(statement)
	return a, nil
}

// endorsedBy says whether the key that the announcement calls the previous one signed it.
func (a Announcement) endorsedBy(previous PublicKey) bool {
	statement, err := a.statement()
	return err == nil && previous.ID() == a.PreviousID && previous.signed(statement, a.Endorsement)
}

// key is the announced key; it fails when the id is another key's.
func (a Announcement) key() (PublicKey, error) {
	key, err := ParsePublicKey(a.PublicKey)
	if err != nil {
		return nil, err
	}
	if key.ID() != a.ID {
		return nil, fmt.Errorf("key %s is announced as %s", key.ID(), a.ID)
	}
	return key, nil
}

// statement is what an endorsement signs.
func (a Announcement) statement() ([]byte, error) {
	return encode(struct {
		Format     string `json:"format"`
		ID         string `json:"id"`
		PreviousID string `json:"previousID"`
		PublicKey  string `json:"publicKey"`
	}{keyFormat, a.ID, a.PreviousID, a.PublicKey})
}
