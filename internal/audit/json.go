package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
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
	decoder := jsontext.NewDecoder(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	return readValue(decoder)
}

func readValue(decoder *jsontext.Decoder) (any, error) {
	token, err := decoder.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case jsontext.KindTrue, jsontext.KindFalse:
		return token.Bool(), nil
	case jsontext.KindString:
		return token.String(), nil
	case jsontext.KindNumber:
		return json.Number(token.String()), nil
	case jsontext.KindBeginObject:
		return readObject(decoder)
	case jsontext.KindBeginArray:
		return readList(decoder)
	default:
		return nil, nil
	}
}

func readObject(decoder *jsontext.Decoder) (object, error) {
	decoded := object{}
	for decoder.PeekKind() != jsontext.KindEndObject {
		name, err := decoder.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		if decoded[key], err = readValue(decoder); err != nil {
			return nil, err
		}
	}
	_, err := decoder.ReadToken()
	return decoded, err
}

func readList(decoder *jsontext.Decoder) ([]any, error) {
	decoded := []any{}
	for decoder.PeekKind() != jsontext.KindEndArray {
		value, err := readValue(decoder)
		if err != nil {
			return nil, err
		}
		decoded = append(decoded, value)
	}
	_, err := decoder.ReadToken()
	return decoded, err
}

// appendValue appends the JSON of a value that was decoded from JSON, with the keys of objects sorted: byte for byte what
// encoding/json makes of it, because digests that were taken of that are in AuditEvents.
func appendValue(to []byte, value any) []byte {
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
		to = append(to, '{')
		for i, key := range slices.Sorted(maps.Keys(typed)) {
			if i > 0 {
				to = append(to, ',')
			}
			to = append(appendText(to, key), ':')
			to = appendValue(to, typed[key])
		}
		return append(to, '}')
	case []any:
		to = append(to, '[')
		for i, item := range typed {
			if i > 0 {
				to = append(to, ',')
			}
			to = appendValue(to, item)
		}
		return append(to, ']')
	default:
		return appendEncoded(to, value)
	}
}

// appendText quotes a string. encoding/json escapes what HTML and JavaScript could take for more than text.
func appendText(to []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c == '<' || c == '>' || c == '&' || c >= utf8.RuneSelf {
			return appendEncoded(to, text)
		}
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
