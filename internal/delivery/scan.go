package delivery

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

// scan takes fields out of a value that a stream found, in one pass, and passes over all others without looking at them. Of a member
// that comes twice the last one counts. The first error is kept, and everything after it yields nothing.
type scan struct {
	data []byte
	at   int
	err  error
}

// object has field be called at the value of each member, which it must take or skip. null has no members.
func (s *scan) object(field func(name []byte)) {
	if s.null() || !s.pass('{') {
		return
	}
	if s.peek() == '}' {
		s.at++
		return
	}
	for s.err == nil {
		name := s.quoted()
		if !s.pass(':') {
			return
		}
		field(name[1 : len(name)-1]) // An escaped name is none that anybody looks for.
		if s.peek() == '}' {
			s.at++
			return
		}
		s.pass(',')
	}
}

// list has element be called at each element, which it must take or skip. null has none.
func (s *scan) list(element func()) {
	if s.null() || !s.pass('[') {
		return
	}
	if s.peek() == ']' {
		s.at++
		return
	}
	for s.err == nil {
		element()
		if s.peek() == ']' {
			s.at++
			return
		}
		s.pass(',')
	}
}

// raw passes over a value and returns it as it stands.
func (s *scan) raw() []byte {
	s.peek()
	from := s.at
	if s.err != nil {
		return nil
	}
	switch s.data[s.at] {
	case '"':
		s.quoted()
	case '{', '[':
		s.nested()
	default:
		for s.at < len(s.data) && !isSpace(s.data[s.at]) && s.data[s.at] != ',' && s.data[s.at] != '}' && s.data[s.at] != ']' {
			s.at++
		}
		if s.at == from {
			s.fail()
		}
	}
	return s.data[from:s.at]
}

func (s *scan) nested() {
	for depth := 0; s.at < len(s.data); {
		switch s.data[s.at] {
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
	s.fail()
}

// quoted passes over a string and returns it with its quotes.
func (s *scan) quoted() []byte {
	if s.peek() != '"' {
		s.fail()
		return []byte(`""`)
	}
	from := s.at
	for at := from + 1; ; {
		n := bytes.IndexByte(s.data[at:], '"')
		if n < 0 {
			s.fail()
			return []byte(`""`)
		}
		at += n + 1
		escapes := 0
		for s.data[at-2-escapes] == '\\' { // It ends at the opening quote at the latest.
			escapes++
		}
		if escapes%2 == 0 {
			s.at = at
			return s.data[from:at]
		}
	}
}

// text takes a string; null is the empty one.
func (s *scan) text() string {
	if s.null() {
		return ""
	}
	return s.unquoted(s.quoted())
}

// word takes a string of which events have few different ones, such as a kind: those of many events share its memory.
func (s *scan) word() string {
	if s.null() {
		return ""
	}
	quoted := s.quoted()
	if len(quoted) > maxWord || bytes.IndexByte(quoted, '\\') >= 0 {
		return s.unquoted(quoted)
	}
	return share(quoted[1 : len(quoted)-1])
}

func (s *scan) unquoted(quoted []byte) string {
	text, err := unquote(quoted)
	if err != nil && s.err == nil {
		s.err = err
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

// time takes a moment in RFC 3339, in local time as the API's own types have it; null is the zero time.
func (s *scan) time() time.Time {
	text := s.text()
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil && s.err == nil {
		s.err = err
	}
	return at.Local()
}

func (s *scan) optionalTime() *metav1.Time {
	if at := s.time(); !at.IsZero() {
		return &metav1.Time{Time: at}
	}
	return nil
}

// into decodes a value that is rare.
func (s *scan) into(value any) {
	raw := s.raw()
	if s.err == nil {
		s.err = json.Unmarshal(raw, value, jsontext.AllowDuplicateNames(true))
	}
}

func (s *scan) null() bool {
	if s.peek() != 'n' {
		return false
	}
	s.raw()
	return true
}

// peek is the next byte that is no white space; 0 where there is none.
func (s *scan) peek() byte {
	for ; s.at < len(s.data); s.at++ {
		if b := s.data[s.at]; !isSpace(b) {
			return b
		}
	}
	s.fail()
	return 0
}

func (s *scan) pass(wanted byte) bool {
	if s.peek() != wanted {
		s.fail()
		return false
	}
	s.at++
	return s.err == nil
}

func (s *scan) fail() {
	if s.err == nil {
		s.err = fmt.Errorf("%w, at byte %d", errNotJSON, s.at)
	}
}

// unquote is the text of a string.
func unquote(quoted []byte) (string, error) {
	if len(quoted) < 2 || quoted[0] != '"' {
		return "", errNotJSON
	}
	if inside := quoted[1 : len(quoted)-1]; bytes.IndexByte(inside, '\\') < 0 {
		return string(inside), nil
	}
	text, err := jsontext.AppendUnquote(nil, quoted)
	return string(text), err
}
