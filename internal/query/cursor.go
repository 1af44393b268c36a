package query

import (
	"encoding/base64"
	"encoding/json"
	"errors"
)

// Cursor says behind which event an answer goes on. It never expires: it is a place in the order of names, and not in a list.
type Cursor struct {
	// Newest is the order of the answer that the cursor belongs to.
	Newest bool `json:"d,omitempty"`
	// Last is the name of the last event.
	Last string `json:"n"`
	// Count is how many rows come before.
	Count int `json:"c"`
	// Seen are the last changes before it, so that a copy of one of them is recognised.
	Seen []sighting `json:"s,omitempty"`
}

// sighting is a change, and by which trail it was recorded.
type sighting struct {
	ID    string `json:"i"`
	Trail string `json:"t"`
}

// maxCursor bounds what is decoded of somebody's token.
const maxCursor = 8 << 10

var errCursor = errors.New("the token to continue with is not one of an earlier answer")

// String is the cursor as a token.
func (c *Cursor) String() string {
	// Strings and numbers can always be encoded.
	encoded, _ := json.Marshal(c)
	return base64.RawURLEncoding.EncodeToString(encoded)
}

// ParseCursor reads a token. It fails when it cannot be one.
func ParseCursor(token string) (*Cursor, error) {
	if len(token) > maxCursor {
		return nil, errCursor
	}
	decoded, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return nil, errCursor
	}
	var cursor Cursor
	if json.Unmarshal(decoded, &cursor) != nil || cursor.Count < 0 || len(cursor.Seen) > carried {
		return nil, errCursor
	}
	if _, ok := TimeOf(cursor.Last); !ok {
		return nil, errCursor
	}
	return &cursor, nil
}

// position is a cursor that moves.
type position struct {
	last   string
	count  int
	copies copies
}

func (c *Cursor) position() *position {
	if c == nil {
		return &position{}
	}
	at := &position{last: c.Last, count: c.Count}
	for _, each := range c.Seen {
		at.copies.remember(each.ID, each.Trail)
	}
	return at
}

func (p *position) cursor(newest bool) *Cursor {
	return &Cursor{Newest: newest, Last: p.last, Count: p.count, Seen: p.copies.last()}
}
