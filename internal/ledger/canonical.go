package ledger

import (
	"bytes"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// canonicalize follows RFC 8785, but rounds no integer: a record must show what was stored.
func canonicalize(value *jsontext.Value) error {
	return value.Canonicalize(jsontext.CanonicalizeRawInts(false))
}

// maxDepth is how deep values may be nested in what isCanonical looks at.
const maxDepth = 64

// isCanonical says that a value is JSON in its canonical form, as what the API server stores mostly is: members in order and no
// white space. False means that it may not be: what is rare, such as fractions, \u escapes or names that are not ASCII, is left to
// canonicalize, which takes several times as long.
func isCanonical(value []byte) bool {
	c := canonical{value: value}
	return c.any(0) && c.at == len(value)
}

// canonical is a place in a value up to which it is canonical.
type canonical struct {
	value []byte
	at    int
}

func (c *canonical) any(depth int) bool {
	if c.at >= len(c.value) || depth > maxDepth {
		return false
	}
	switch b := c.value[c.at]; {
	case b == '{':
		return c.object(depth)
	case b == '[':
		return c.list(depth)
	case b == '"':
		_, ok := c.text()
		return ok
	case b == '-', b >= '0' && b <= '9':
		return c.integer()
	default:
		return c.is("true") || c.is("false") || c.is("null")
	}
}

func (c *canonical) object(depth int) bool {
	c.at++
	if c.is("}") {
		return true
	}
	var before []byte
	for first := true; ; first = false {
		name, ok := c.text()
		if !ok || !isPlain(name) || !first && bytes.Compare(before, name) >= 0 {
			return false
		}
		before = name
		if !c.is(":") || !c.any(depth+1) {
			return false
		}
		if c.is("}") {
			return true
		}
		if !c.is(",") {
			return false
		}
	}
}

func (c *canonical) list(depth int) bool {
	c.at++
	if c.is("]") {
		return true
	}
	for c.any(depth + 1) {
		if c.is("]") {
			return true
		}
		if !c.is(",") {
			return false
		}
	}
	return false
}

// text passes over a string, and returns what is between its quotes.
func (c *canonical) text() (inside []byte, ok bool) {
	if !c.is(`"`) {
		return nil, false
	}
	from, ascii := c.at, true
	for ; c.at < len(c.value); c.at++ {
		switch b := c.value[c.at]; {
		case b == '"':
			inside = c.value[from:c.at]
			c.at++
			return inside, ascii || utf8.Valid(inside)
		case b == '\\':
			c.at++
			if c.at >= len(c.value) || bytes.IndexByte([]byte(`"\bfnrt`), c.value[c.at]) < 0 {
				return nil, false
			}
		case b < ' ':
			return nil, false
		case b >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, false
}

// isPlain says that a name compares as its bytes do.
func isPlain(name []byte) bool {
	for _, b := range name {
		if b == '\\' || b >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// integer passes over one, which keeps its digits.
func (c *canonical) integer() bool {
	negative := c.is("-")
	from := c.at
	for c.at < len(c.value) && c.value[c.at] >= '0' && c.value[c.at] <= '9' {
		c.at++
	}
	digits := c.value[from:c.at]
	switch {
	case len(digits) == 0, digits[0] == '0' && (len(digits) > 1 || negative):
		return false
	default:
		return c.at == len(c.value) || bytes.IndexByte([]byte(".eE"), c.value[c.at]) < 0
	}
}

func (c *canonical) is(text string) bool {
	if len(c.value)-c.at < len(text) || string(c.value[c.at:c.at+len(text)]) != text {
		return false
	}
	c.at += len(text)
	return true
}
