package cloudsim

import (
	"encoding/json"
	"strconv"
	"strings"
)

// text is a JSON string within the body.
type text struct {
	quoted  []byte // with its quotes; nil when the string is missing or null
	size    int    // of the string in UTF-8, in bytes
	escaped bool
}

// String copies the text out of the body.
func (t text) String() string {
	if !t.escaped {
		if t.quoted == nil {
			return ""
		}
		return string(t.quoted[1 : len(t.quoted)-1])
	}
	var s string
	if err := json.Unmarshal(t.quoted, &s); err != nil {
		panic(err) // The scanner has accepted it.
	}
	return s
}

// scanner reads JSON (RFC 8259) that is known to be UTF-8.
type scanner struct {
	in  []byte
	pos int
}

// syntaxError says what is wrong with the JSON.
type syntaxError string

func (e syntaxError) Error() string { return string(e) }

// next skips white space and returns the byte after it, or 0 at the end.
func (s *scanner) next() byte {
	for s.pos < len(s.in) {
		switch c := s.in[s.pos]; c {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) end() error {
	if s.next(); s.pos < len(s.in) {
		return syntaxError("unexpected data")
	}
	return nil
}

func (s *scanner) expect(c byte) error {
	if s.next() != c {
		return syntaxError("expected " + string(c))
	}
	s.pos++
	return nil
}

// object calls member with each name, which has to read the value.
func (s *scanner) object(member func(name string) error) error {
	if err := s.expect('{'); err != nil {
		return err
	}
	return s.list('}', func() error {
		name, err := s.text()
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		return member(memberName(name))
	})
}

// memberName copies the name, without allocating for the two that come with every event.
func memberName(name text) string {
	switch string(name.quoted) {
	case `"timestamp"`:
		return "timestamp"
	case `"message"`:
		return "message"
	}
	return name.String()
}

// array calls element for each element, which has to read it.
func (s *scanner) array(element func() error) error {
	if err := s.expect('['); err != nil {
		return err
	}
	return s.list(']', element)
}

// list reads elements up to the closing byte; the opening one is read.
func (s *scanner) list(closing byte, element func() error) error {
	if s.next() == closing {
		s.pos++
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		c := s.next()
		if c != ',' && c != closing {
			return syntaxError("expected , or " + string(closing))
		}
		s.pos++
		if c == closing {
			return nil
		}
	}
}

// name reads a string or null.
func (s *scanner) name(into *string) error {
	var t text
	err := s.nullable(&t)
	*into = t.String()
	return err
}

func (s *scanner) nullable(into *text) error {
	if s.next() == 'n' {
		return s.literal("null")
	}
	t, err := s.text()
	*into = t
	return err
}

// integer reads an integer or null; null leaves the value as it is.
func (s *scanner) integer(into *int64) error {
	if s.next() == 'n' {
		return s.literal("null")
	}
	start := s.pos
	for s.pos < len(s.in) && (s.in[s.pos] == '-' || s.in[s.pos] >= '0' && s.in[s.pos] <= '9') {
		s.pos++
	}
	digits := s.in[start:s.pos]
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil || n == noTimestamp || len(digits) > 1 && digits[0] == '0' {
		s.pos = start
		return syntaxError("expected an integer")
	}
	*into = n
	return nil
}

// number moves over what may belong to a number and returns whether it is one.
func (s *scanner) number() bool {
	start := s.pos
	for s.pos < len(s.in) && strings.IndexByte("+-.0123456789Ee", s.in[s.pos]) >= 0 {
		s.pos++
	}
	return json.Valid(s.in[start:s.pos])
}

func (s *scanner) literal(word string) error {
	if end := s.pos + len(word); end <= len(s.in) && string(s.in[s.pos:end]) == word {
		s.pos = end
		return nil
	}
	return syntaxError("expected " + word)
}

// maxDepth bounds the recursion over values that are not looked at.
const maxDepth = 32

// skip reads any value.
func (s *scanner) skip(depth int) error {
	if depth > maxDepth {
		return syntaxError("nested too deeply")
	}
	switch s.next() {
	case '{':
		return s.object(func(string) error { return s.skip(depth + 1) })
	case '[':
		return s.array(func() error { return s.skip(depth + 1) })
	case '"':
		_, err := s.text()
		return err
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	}
	if !s.number() {
		return syntaxError("expected a value")
	}
	return nil
}
