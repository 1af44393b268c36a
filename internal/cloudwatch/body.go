package cloudwatch

import (
	"bytes"
	"slices"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/gzip"
)

// gzipLevel is the fastest one: records shrink to a tenth at it, and the next levels take several times the CPU for
// little more.
const gzipLevel = gzip.BestSpeed

// body is one call of PutLogEvents as it is sent. Records are escaped here and nowhere else, straight into it. It is
// taken from a pool: use newBody, and release it when nobody reads it any more.
type body struct {
	// plain is the JSON, and packed its compressed form; it is empty when the call is sent as it is.
	plain  []byte
	packed bytes.Buffer
	zipper *gzip.Writer
}

var bodies = sync.Pool{New: func() any {
	// The level is a valid one.
	zipper, _ := gzip.NewWriterLevel(nil, gzipLevel)
	return &body{zipper: zipper}
}}

// newBody encodes a call.
func newBody(group, stream string, records []Record, compress bool) (*body, error) {
	b := bodies.Get().(*body) // The pool holds nothing else.
	b.plain = appendCall(slices.Grow(b.plain[:0], callSize(records)), group, stream, records)
	b.packed.Reset()
	if !compress {
		return b, nil
	}
	b.zipper.Reset(&b.packed)
	if _, err := b.zipper.Write(b.plain); err != nil {
		return nil, err
	}
	return b, b.zipper.Close()
}

// wire is what is sent.
func (b *body) wire() []byte {
	if b.packed.Len() > 0 {
		return b.packed.Bytes()
	}
	return b.plain
}

// release gives the memory back; wire must not be read any more.
func (b *body) release() { bodies.Put(b) }

// callSize is about how many bytes a call takes: memory that grows to that step by step is allocated twice. Of a record's bytes one in
// eight is a quote, and escaping asks for twice a record's own.
func callSize(records []Record) int {
	size, largest := 0, 0
	for i := range records {
		size += records[i].Size()
		largest = max(largest, len(records[i].Message))
	}
	return size + size/4 + largest
}

// appendCall appends the JSON of a call.
func appendCall(dst []byte, group, stream string, records []Record) []byte {
	dst = append(dst, `{"logGroupName":`...)
	dst = appendName(dst, group)
	dst = append(dst, `,"logStreamName":`...)
	dst = appendName(dst, stream)
	dst = append(dst, `,"logEvents":[`...)
	for i := range records {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"timestamp":`...)
		dst = strconv.AppendInt(dst, records[i].Time, 10)
		dst = append(dst, `,"message":"`...)
		dst = appendEscaped(dst, records[i].Message)
		dst = append(dst, `"}`...)
	}
	return append(dst, `]}`...)
}

func appendName(dst []byte, name string) []byte {
	// Quoting fails on invalid UTF-8 only, which names of groups and streams never have.
	dst, _ = jsontext.AppendQuote(dst, name)
	return dst
}
