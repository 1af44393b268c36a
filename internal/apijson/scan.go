package apijson

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Scan takes fields out of a value that a stream found, in one pass, and passes over all others without looking at them. Of a member
// that comes twice the last one counts. The first error is kept, and everything after it yields nothing.
type Scan struct {
	// Data is the value.
	Data []byte
	// Err is the first error: ErrNotJSON, or why a time or another value cannot be read.
	Err error
	at  int
}

// Offset is where the next value begins, but for white space.
func (s *Scan) Offset() int { return s.at }

// Object has field be called at the value of each member, which it must take or skip. null has no members.
func (s *Scan) Object(field func(name []byte)) {
	if s.null() || !s.pass('{') {
		return
	}
	if s.Peek() == '}' {
		s.at++
		return
	}
	for s.Err == nil {
		name := s.quoted()
		if !s.pass(':') {
			return
		}
		field(name[1 : len(name)-1]) // An escaped name is none that anybody looks for.
		if s.Peek() == '}' {
			s.at++
			return
		}
		s.pass(',')
	}
}

// List has element be called at each element, which it must take or skip. null has none.
func (s *Scan) List(element func()) {
	if s.null() || !s.pass('[') {
		return
	}
	if s.Peek() == ']' {
		s.at++
		return
	}
	for s.Err == nil {
		element()
		if s.Peek() == ']' {
			s.at++
			return
		}
		s.pass(',')
	}
}

// Raw passes over a value and returns it as it stands.
func (s *Scan) Raw() []byte {
	s.Peek()
	from := s.at
	if s.Err != nil {
		return nil
	}
	switch s.Data[s.at] {
	case '"':
		s.quoted()
	case '{', '[':
		s.nested()
	default:
		for s.at < len(s.Data) && !isSpace(s.Data[s.at]) && s.Data[s.at] != ',' && s.Data[s.at] != '}' && s.Data[s.at] != ']' {
			s.at++
		}
		if s.at == from {
			s.Fail()
		}
	}
	return s.Data[from:s.at]
}

func (s *Scan) nested() {
	for depth := 0; s.at < len(s.Data); {
		switch s.Data[s.at] {
		case '"':
			s.quoted()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.at++
		if depth == 0 {
			return
		}
	}
	s.Fail()
}

// quoted passes over a string and returns it with its quotes.
func (s *Scan) quoted() []byte {
	if s.Peek() != '"' {
		s.Fail()
		return []byte(`""`)
	}
	from := s.at
	for at := from + 1; ; {
		n := bytes.IndexByte(s.Data[at:], '"')
		if n < 0 {
			s.Fail()
			return []byte(`""`)
		}
		at += n + 1
		escapes := 0
		for s.Data[at-2-escapes] == '\\' { // It ends at the opening quote at the latest.
			escapes++
		}
		if escapes%2 == 0 {
			s.at = at
			return s.Data[from:at]
		}
	}
}

// Text takes a string; null is the empty one.
func (s *Scan) Text() string {
	if s.null() {
		return ""
	}
	return s.unquoted(s.quoted())
}

// Word takes a string of which events have few different ones, such as a kind: those of many events share its memory.
func (s *Scan) Word() string {
	if s.null() {
		return ""
	}
	quoted := s.quoted()
	if len(quoted) > maxWord || bytes.IndexByte(quoted, '\\') >= 0 {
		return s.unquoted(quoted)
	}
	return share(quoted[1 : len(quoted)-1])
}

func (s *Scan) unquoted(quoted []byte) string {
	text, err := unquote(quoted)
	if err != nil && s.Err == nil {
		s.Err = err
	}
	return text
}

// maxWord bounds a word, in bytes with its quotes.
const maxWord = 128

// words are those that came last, by their hashes: whatever else has the same takes the place.
var (
	words    [512]atomic.Pointer[string]
	wordSeed = maphash.MakeSeed()
)

func share(text []byte) string {
	place := &words[maphash.Bytes(wordSeed, text)%uint64(len(words))]
	if known := place.Load(); known != nil && *known == string(text) {
		return *known
	}
	word := string(text)
	place.Store(&word)
	return word
}

// Time takes a moment in RFC 3339, in local time as the API's own types have it; null is the zero time.
func (s *Scan) Time() time.Time {
	text := s.Text()
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil && s.Err == nil {
		s.Err = err
	}
	return at.Local()
}

// OptionalTime is a time; nil when the value is null or empty.
func (s *Scan) OptionalTime() *metav1.Time {
	if at := s.Time(); !at.IsZero() {
		return &metav1.Time{Time: at}
	}
	return nil
}

// Into decodes a value that is rare.
func (s *Scan) Into(value any) {
	raw := s.Raw()
	if s.Err == nil {
		s.Err = json.Unmarshal(raw, value, jsontext.AllowDuplicateNames(true))
	}
}

func (s *Scan) null() bool {
	if s.Peek() != 'n' {
		return false
	}
	s.Raw()
	return true
}

// Peek is the next byte that is no white space; 0 where there is none.
func (s *Scan) Peek() byte {
	for ; s.at < len(s.Data); s.at++ {
		if b := s.Data[s.at]; !isSpace(b) {
			return b
		}
	}
	s.Fail()
	return 0
}

func (s *Scan) pass(wanted byte) bool {
	if s.Peek() != wanted {
		s.Fail()
		return false
	}
	s.at++
	return s.Err == nil
}

// Fail ends the scan where it is, with ErrNotJSON.
func (s *Scan) Fail() {
	if s.Err == nil {
		s.Err = fmt.Errorf("%w, at byte %d", ErrNotJSON, s.at)
	}
}

// unquote is the text of a string.
func unquote(quoted []byte) (string, error) {
	if len(quoted) < 2 || quoted[0] != '"' {
		return "", ErrNotJSON
	}
	if inside := quoted[1 : len(quoted)-1]; bytes.IndexByte(inside, '\\') < 0 {
		return string(inside), nil
	}
	text, err := jsontext.AppendUnquote(nil, quoted)
	return string(text), err
}
