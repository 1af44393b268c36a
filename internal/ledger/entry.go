package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	stdjson "encoding/json"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// entryFormat begins every entry's content, so that no other signed statement can be taken for an entry.
const entryFormat = "trailkeeper.dev/ledger/v1"

// Kind says why an entry was written.
type Kind string

const (
	// KindGenesis is a ledger's first entry.
	KindGenesis Kind = "Genesis"
	// KindCheckpoint says how far the chain was.
	KindCheckpoint Kind = "Checkpoint"
	// KindGap says also which records the destination refused.
	KindGap Kind = "Gap"
	// KindKey says also that another key signs from here on.
	KindKey Kind = "Key"
)

// Entry is one signed statement about a trail's chain. All say how far the chain was when they were written.
type Entry struct {
	Format string `json:"format"`
	Kind   Kind   `json:"kind"`
	// Number counts a ledger's entries from 1.
	Number int64 `json:"number"`
	// PreviousEntry is the hash of the entry before; that of the trail's genesis for the first one.
	PreviousEntry string      `json:"previousEntry"`
	Trail         Trail       `json:"trail"`
	Cluster       string      `json:"cluster"`
	Destination   Destination `json:"destination"`
	Time          metav1.Time `json:"time"`
	// Sequence and Hash are the chain's head.
	Sequence int64  `json:"sequence"`
	Hash     string `json:"hash"`
	// Delivered and Rejected count the records up to there.
	Delivered int64 `json:"delivered"`
	Rejected  int64 `json:"rejected"`
	// Gaps are the records that were refused since the entry before.
	Gaps []Gap `json:"gaps,omitempty"`
	// Keys lead from the key that signed the entry before to the one that signs this one.
	Keys  []Announcement `json:"keys,omitempty"`
	KeyID string         `json:"keyID"`
	// Signature is the key's, over the canonical JSON of all other members.
	Signature string `json:"signature,omitempty"`
}

// Trail is whose ledger it is.
type Trail struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
}

// Destination is where the records are.
type Destination struct {
	Region    string `json:"region"`
	LogGroup  string `json:"logGroup"`
	LogStream string `json:"logStream"`
}

// Gap is an unbroken row of records that the destination refused for good. The chain goes through them: PreviousHash is the
// hash of the record before the first, Hash that of the last.
type Gap struct {
	First        int64  `json:"first"`
	Last         int64  `json:"last"`
	PreviousHash string `json:"previousHash"`
	Hash         string `json:"hash"`
	Reason       string `json:"reason"`
}

// Seal signs the entry and returns it as it is delivered: one line of canonical JSON (RFC 8785).
func (e Entry) Seal(key Key) ([]byte, error) {
	e.Format, e.KeyID = entryFormat, key.Public().ID()
	unsigned, err := e.unsigned()
	if err != nil {
		return nil, err
	}
	e.Signature = key.sign(unsigned)
	return encode(e)
}

// signedBy says whether the key signed the entry.
func (e Entry) signedBy(key PublicKey) bool {
	unsigned, err := e.unsigned()
	return err == nil && key.ID() == e.KeyID && key.signed(unsigned, e.Signature)
}

func (e Entry) unsigned() ([]byte, error) {
	e.Signature = ""
	return encode(e)
}

// EntryHash is an entry's hash: that of the line as it was delivered.
func EntryHash(message []byte) string {
	sum := sha256.Sum256(message)
	return hex.EncodeToString(sum[:])
}

var errForm = errors.New("it is not in the form in which entries are written")

// ReadEntry decodes an entry as Seal wrote it. It does not look at the signature.
func ReadEntry(message []byte) (Entry, error) {
	var entry Entry
	if err := json.Unmarshal(message, &entry, json.RejectUnknownMembers(true)); err != nil {
		return Entry{}, fmt.Errorf("decoding an entry: %w", err)
	}
	if entry.Format != entryFormat {
		return entry, fmt.Errorf("the entry's format is %q, want %q: a newer version may have written it", entry.Format, entryFormat)
	}
	again, err := encode(entry)
	if err != nil {
		return entry, err
	}
	if !bytes.Equal(again, message) {
		return entry, fmt.Errorf("entry %d: %w", entry.Number, errForm)
	}
	return entry, nil
}

// encode returns the canonical JSON of a value.
func encode(value any) ([]byte, error) {
	encoded, err := stdjson.Marshal(value) // It writes a metav1.Time as the API does.
	if err != nil {
		return nil, fmt.Errorf("encoding a statement of the ledger: %w", err)
	}
	canonical := jsontext.Value(encoded)
	if err := canonicalize(&canonical); err != nil {
		return nil, fmt.Errorf("encoding a statement of the ledger: %w", err)
	}
	return canonical, nil
}
