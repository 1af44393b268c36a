package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// decode reads a JSON object; nil when there is none. What the API server sends has passed its own decoder: what that
// lets through is not checked again.
func decode(raw []byte) (object, error) {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil, nil
	}
	value, err := decodeValue(raw)
	if err != nil {
		return nil, err
	}
	decoded, ok := value.(object)
	if !ok && value != nil {
		return nil, fmt.Errorf("got a JSON %T, want an object", value)
	}
	return decoded, nil
}

// decodeValue reads the JSON value that raw begins with.
func decodeValue(raw []byte) (any, error) {
	r := &reader{text: string(raw)}
	value := r.value()
	if r.err != nil {
		return nil, r.err
	}
	return value, nil
}

// reader decodes JSON that another decoder has let through: of what it passes over it checks no more than it has to in order to find the
// end. The strings that it returns share the memory of the text. The first error is kept.
type reader struct {
	text string
	at   int
	err  error
}

var errNotJSON = errors.New("not JSON")

func (r *reader) value() any {
	switch r.peek() {
	case '{':
		return r.object()
	case '[':
		return r.list()
	case '"':
		return r.string()
	case 't':
		r.word("true")
		return true
	case 'f':
		r.word("false")
		return false
	case 'n':
		r.word("null")
		return nil
	default:
		return r.number()
	}
}

func (r *reader) object() object {
	decoded := object{}
	for more := r.open('{', '}'); more; more = r.next('}') {
		name := r.string()
		r.pass(':')
		decoded[name] = r.value()
	}
	return decoded
}

func (r *reader) list() []any {
	decoded := []any{}
	for more := r.open('[', ']'); more; more = r.next(']') {
		decoded = append(decoded, r.value())
	}
	return decoded
}

// open passes the beginning of an object or a list, and says whether it has members.
func (r *reader) open(first, last byte) bool {
	r.pass(first)
	if r.peek() == last {
		r.at++
		return false
	}
	return r.err == nil
}

// next passes what follows a member, and says whether there is another one.
func (r *reader) next(last byte) bool {
	if r.peek() == last {
		r.at++
		return false
	}
	r.pass(',')
	return r.err == nil
}

func (r *reader) string() string {
	if r.pass('"'); r.err != nil {
		return ""
	}
	from := r.at
	for plain := true; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; {
		case c == '\\':
			plain = false
			r.at++
		case c >= utf8.RuneSelf:
			plain = false
		case c == '"':
			r.at++
			if plain {
				return r.text[from : r.at-1]
			}
			// What is no UTF-8 is replaced, and is the only error.
			unquoted, _ := jsontext.AppendUnquote(nil, r.text[from-1:r.at])
			return string(unquoted)
		}
	}
	r.fail()
	return ""
}

func (r *reader) number() json.Number {
	from := r.at
	for r.at < len(r.text) && strings.IndexByte("+-.0123456789eE", r.text[r.at]) >= 0 {
		r.at++
	}
	if r.at == from {
		r.fail()
	}
	return json.Number(r.text[from:r.at])
}

func (r *reader) word(word string) {
	if !strings.HasPrefix(r.text[r.at:], word) {
		r.fail()
		return
	}
	r.at += len(word)
}

// peek is the next byte that is no white space; 0 where there is none.
func (r *reader) peek() byte {
	for ; r.at < len(r.text); r.at++ {
		if c := r.text[r.at]; c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return c
		}
	}
	r.fail()
	return 0
}

func (r *reader) pass(wanted byte) {
	if r.peek() != wanted {
		r.fail()
		return
	}
	r.at++
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = fmt.Errorf("%w, at byte %d", errNotJSON, r.at)
	}
}

// appendValue appends the JSON of a value that was decoded from JSON, with the keys of objects sorted: byte for byte what
// encoding/json makes of it, because digests that were taken of that are in AuditEvents. If it is to be lean, it has no members that are
// nothing.
func appendValue(to []byte, value any, lean bool) []byte {
	switch typed := value.(type) {
	case nil:
		return append(to, "null"...)
	case bool:
		return strconv.AppendBool(to, typed)
	case string:
		return appendText(to, typed)
	case json.Number:
		return append(to, typed...)
	case object:
		var space [16]string // Most objects have no more members.
		keys := slices.AppendSeq(space[:0], maps.Keys(typed))
		if lean {
			keys = slices.DeleteFunc(keys, func(key string) bool { return isNothing(typed[key]) })
		}
		slices.Sort(keys)
		to = append(to, '{')
		for i, key := range keys {
			if i > 0 {
				to = append(to, ',')
			}
			to = append(appendText(to, key), ':')
			to = appendValue(to, typed[key], lean)
		}
		return append(to, '}')
	case []any:
		to = append(to, '[')
		for i, item := range typed {
			if i > 0 {
				to = append(to, ',')
			}
			if lean && isNothing(item) {
				item = nil // It has its place.
			}
			to = appendValue(to, item, lean)
		}
		return append(to, ']')
	default:
		return appendEncoded(to, value)
	}
}

// isNothing says that nothing is left of a value when the API server stores it as one of its own types: a list that is empty, one that is
// null and one that is not there are the same then.
func isNothing(value any) bool {
	list, isList := value.([]any)
	return value == nil || value == (absent{}) || isList && len(list) == 0
}

// appendText quotes a string. encoding/json escapes what HTML and JavaScript could take for more than text.
func appendText(to []byte, text string) []byte {
	plain := true
	for i := range len(text) {
		switch c := text[i]; {
		case c == '<' || c == '>' || c == '&' || c >= utf8.RuneSelf:
			return appendEncoded(to, text)
		case c < ' ' || c == '"' || c == '\\':
			plain = false
		}
	}
	if plain {
		return append(append(append(to, '"'), text...), '"')
	}
	// Only invalid UTF-8 fails.
	quoted, _ := jsontext.AppendQuote(to, text)
	return quoted
}

func appendEncoded(to []byte, value any) []byte {
	// A value that was decoded from JSON can always be encoded again.
	encoded, _ := json.Marshal(value)
	return append(to, encoded...)
}
