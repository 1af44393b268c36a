package audit

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

var pointerUnescaper = strings.NewReplacer("~1", "/", "~0", "~")

var decoders = sync.Pool{New: func() any { return new(jsontext.Decoder) }}

// lookUp is the value at a JSON Pointer of an object, or absent. It decodes nothing but that value: an object is looked
// at for one place out of many.
func lookUp(objectJSON []byte, pointer string) (any, error) {
	if len(objectJSON) == 0 {
		return absent{}, nil
	}
	decoder, _ := decoders.Get().(*jsontext.Decoder)
	defer decoders.Put(decoder)
	// What the API server sends has passed its own decoder.
	decoder.Reset(bytes.NewBuffer(objectJSON), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for segment := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		found, err := enter(decoder, pointerUnescaper.Replace(segment))
		if err != nil {
			return nil, fmt.Errorf("looking for %s: %w", pointer, err)
		}
		if !found {
			return absent{}, nil
		}
	}
	value, err := decoder.ReadValue()
	if err != nil {
		return nil, fmt.Errorf("looking for %s: %w", pointer, err)
	}
	decoded, err := decodeValue(value)
	if err != nil {
		return nil, fmt.Errorf("decoding %s: %w", pointer, err)
	}
	return decoded, nil
}

// enter goes on to one member of the object that comes next, or to one element of a list by its index.
func enter(decoder *jsontext.Decoder, name string) (found bool, _ error) {
	kind := decoder.PeekKind()
	if kind != jsontext.KindBeginObject && kind != jsontext.KindBeginArray {
		return false, decoder.SkipValue()
	}
	if _, err := decoder.ReadToken(); err != nil {
		return false, err
	}
	for index := 0; ; index++ {
		if next := decoder.PeekKind(); next == jsontext.KindEndObject || next == jsontext.KindEndArray {
			return false, nil
		}
		here := kind == jsontext.KindBeginArray && strconv.Itoa(index) == name
		if kind == jsontext.KindBeginObject {
			key, err := decoder.ReadValue()
			if err != nil {
				return false, err
			}
			here = isNamed(key, name)
		}
		if here {
			return true, nil
		}
		if err := decoder.SkipValue(); err != nil {
			return false, err
		}
	}
}

// isNamed says whether a string in JSON is a name.
func isNamed(quoted jsontext.Value, name string) bool {
	inside := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inside, '\\') < 0 {
		return string(inside) == name
	}
	text, _ := jsontext.AppendUnquote(nil, quoted) // Its one error is invalid UTF-8, for which other characters stand then.
	return string(text) == name
}
