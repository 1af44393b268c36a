package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	stdjson "encoding/json"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Link is one delivered record as a reader sees it.
type Link struct {
	ID           string             `json:"id"`
	Sequence     int64              `json:"sequence"`
	PreviousHash string             `json:"previousHash"`
	Hash         string             `json:"hash"`
	Outcome      string             `json:"outcome"`
	Event        stdjson.RawMessage `json:"event"`
	// Trail is the uid of the trail that the event says it belongs to.
	Trail string `json:"-"`
}

// ReadLink decodes a delivered record and checks that its hash is that of its content. It fails when the record is not
// JSON, or was changed; in the latter case the link is what the record claims.
func ReadLink(record []byte) (Link, error) {
	var link Link
	// Unlike the standard library's, these names are exact and come once, so that all readers read the same.
	if err := json.Unmarshal(record, &link); err != nil {
		return Link{}, fmt.Errorf("decoding a record: %w", err)
	}
	var event struct {
		Spec struct {
			ID       string `json:"id"`
			TrailRef struct {
				UID string `json:"uid"`
			} `json:"trailRef"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(link.Event, &event); err != nil {
		return Link{}, fmt.Errorf("decoding the event of record %d: %w", link.Sequence, err)
	}
	link.Trail = event.Spec.TrailRef.UID
	canonical := make(jsontext.Value, 0, len(record))
	canonical = append(canonical, `{"event":`...)
	canonical = append(canonical, link.Event...)
	canonical = appendMember(canonical, "previousHash", link.PreviousHash)
	canonical = append(canonical, `,"sequence":`...)
	canonical = append(strconv.AppendInt(canonical, link.Sequence, 10), '}')
	if err := canonicalize(&canonical); err != nil {
		return Link{}, fmt.Errorf("record %d is not canonical JSON: %w", link.Sequence, err)
	}
	sum := sha256.Sum256(canonical)
	if got := hex.EncodeToString(sum[:]); got != link.Hash {
		return link, fmt.Errorf("record %d was changed: its hash is %s and its content's %s", link.Sequence, link.Hash, got)
	}
	if event.Spec.ID != "" && event.Spec.ID != link.ID {
		return link, fmt.Errorf("record %d was changed: its id is %s and its event's %s", link.Sequence, link.ID, event.Spec.ID)
	}
	return link, nil
}

// Check follows a chain from a head and returns the distinct links in order, and how many records were repeated. A
// repeated record must be identical in all that is hashed. It fails at the first record that is missing or does not
// follow its predecessor.
func Check(from Head, links []Link) (distinct []Link, repeated int, err error) {
	seen := make(map[int64]string, len(links))
	head := from
	for i := range links {
		link := links[i]
		if hash, ok := seen[link.Sequence]; ok {
			if hash != link.Hash {
				return nil, 0, fmt.Errorf("record %d was delivered twice with different content", link.Sequence)
			}
			repeated++
			continue
		}
		if link.Sequence != head.Sequence+1 {
			return nil, 0, fmt.Errorf("record %d is missing: record %d follows record %d",
				head.Sequence+1, link.Sequence, head.Sequence)
		}
		if link.PreviousHash != head.Hash {
			return nil, 0, fmt.Errorf("record %d does not follow record %d: its previousHash is another", link.Sequence, head.Sequence)
		}
		seen[link.Sequence] = link.Hash
		head = Head{Sequence: link.Sequence, Hash: link.Hash}
		distinct = append(distinct, link)
	}
	return distinct, repeated, nil
}
