package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// Head is the end of a trail's chain.
type Head struct {
	// Sequence is the number of the last record; 0 before the first.
	Sequence int64
	// Hash is the last record's hash, in hexadecimal.
	Hash string
}

// Genesis is the head of an empty chain. It depends on the trail's uid, so that the records of a trail that was made
// again under the same name do not continue the old chain.
func Genesis(trailUID string) Head {
	sum := sha256.Sum256([]byte("trailkeeper.dev/genesis/" + trailUID))
	return Head{Hash: hex.EncodeToString(sum[:])}
}

// Event is the immutable part of an AuditEvent.
type Event struct {
	Name, Namespace string
	// ID is the spec's id.
	ID string
	// Spec is the AuditEvent's spec as JSON.
	Spec json.RawMessage
}

// Judgement is what was found out about an event. It travels beside the hashed part, because a replay after a crash
// may judge later and differently.
type Judgement struct {
	// Outcome is empty where it does not apply, as for Connect.
	Outcome v1alpha1.Outcome
	Message string
}

// Record is the form in which an event is delivered: one JSON object that holds, as members event, previousHash and
// sequence, what the hash covers, and beside them hash, id, outcome and message.
//
// The hash is the SHA-256 of the canonical JSON (RFC 8785) of the object with the first three members alone; integers
// beyond 2^53, which RFC 8785 cannot express, keep their digits.
//
// It returns the record and the chain's new head; it fails when the spec is not JSON.
func (h Head) Record(event Event, judgement Judgement) ([]byte, Head, error) {
	hashed, err := h.hashedPart(event)
	if err != nil {
		return nil, h, err
	}
	sum := sha256.Sum256(hashed)
	next := Head{Sequence: h.Sequence + 1, Hash: hex.EncodeToString(sum[:])}

	record := hashed[:len(hashed)-1]
	record = appendMember(record, "hash", next.Hash)
	record = appendMember(record, "id", event.ID)
	if judgement.Outcome != "" {
		record = appendMember(record, "outcome", string(judgement.Outcome))
	}
	if judgement.Message != "" {
		record = appendMember(record, "message", judgement.Message)
	}
	return append(record, '}'), next, nil
}

// hashedPart is the canonical JSON of what the hash covers, with room for the members that follow it.
func (h Head) hashedPart(event Event) ([]byte, error) {
	const room = 512
	part := make(jsontext.Value, 0, len(event.Spec)+room)
	part = append(part, `{"event":{"metadata":{`...)
	part = appendString(part, "name", event.Name)
	part = append(part, ',')
	part = appendString(part, "namespace", event.Namespace)
	part = append(part, `},"spec":`...)
	part = append(part, event.Spec...)
	part = append(part, `},`...)
	part = appendString(part, "previousHash", h.Hash)
	part = append(part, `,"sequence":`...)
	part = strconv.AppendInt(part, h.Sequence+1, 10)
	part = append(part, '}')
	if isCanonical(event.Spec) { // Everything around it is written in canonical form.
		return part, nil
	}
	if err := canonicalize(&part); err != nil {
		return nil, fmt.Errorf("event %s/%s is not canonical JSON: %w", event.Namespace, event.Name, err)
	}
	return part, nil
}

func appendMember(dst []byte, name, value string) []byte {
	return appendString(append(dst, ','), name, value)
}

func appendString(dst []byte, name, value string) []byte {
	dst = append(dst, '"')
	dst = append(dst, name...)
	dst = append(dst, `":`...)
	// Quoting fails on invalid UTF-8 only, and then still appends the value with replacement characters.
	dst, _ = jsontext.AppendQuote(dst, value)
	return dst
}
