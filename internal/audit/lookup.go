package audit

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

var pointerUnescaper = strings.NewReplacer("~1", "/", "~0", "~")

// lookUp is the value at a JSON Pointer of an object, or absent. It decodes nothing but that value: an object is looked
// at for one place out of many.
func lookUp(objectJSON []byte, pointer string) (any, error) {
	value, found := jsontext.Value(objectJSON), len(objectJSON) > 0
	for segment := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if !found {
			return absent{}, nil
		}
		var err error
		if value, found, err = member(value, pointerUnescaper.Replace(segment)); err != nil {
			return nil, fmt.Errorf("looking for %s: %w", pointer, err)
		}
	}
	if !found {
		return absent{}, nil
	}
	decoded, err := decodeValue(value)
	if err != nil {
		return nil, fmt.Errorf("decoding %s: %w", pointer, err)
	}
	return decoded, nil
}

// member is one member of an object, or one element of a list by its index.
func member(container jsontext.Value, name string) (_ jsontext.Value, found bool, _ error) {
	// What the API server sends has passed its own decoder.
	decoder := jsontext.NewDecoder(bytes.NewBuffer(container), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	kind := decoder.PeekKind()
	if kind != jsontext.KindBeginObject && kind != jsontext.KindBeginArray {
		return nil, false, decoder.SkipValue()
	}
	if _, err := decoder.ReadToken(); err != nil {
		return nil, false, err
	}
	for index := 0; ; index++ {
		if next := decoder.PeekKind(); next == jsontext.KindEndObject || next == jsontext.KindEndArray {
			return nil, false, nil
		}
		key := strconv.Itoa(index)
		if kind == jsontext.KindBeginObject {
			token, err := decoder.ReadToken()
			if err != nil {
				return nil, false, err
			}
			key = token.String()
		}
		if key == name {
			value, err := decoder.ReadValue()
			return value, err == nil, err
		}
		if err := decoder.SkipValue(); err != nil {
			return nil, false, err
		}
	}
}
