package cloudsim

import (
	"bytes"
	"io"
	"net/http"
	"sync"

	"github.com/klauspost/compress/gzip"
)

const (
	// maxWireBytes bounds a request's body as it was sent, maxBodyBytes what it may unpack to. A full batch whose
	// every byte is written as \u00XX is 6 MiB.
	maxWireBytes = 8 << 20
	maxBodyBytes = 16 << 20
)

var (
	buffers     = sync.Pool{New: func() any { return new(bytes.Buffer) }}
	gzipReaders = sync.Pool{New: func() any { return new(gzip.Reader) }}
)

// requestBody is a request's body in pooled buffers. Nothing may refer to it after release.
type requestBody struct {
	wire     *bytes.Buffer
	unpacked *bytes.Buffer // nil when the body was sent as it is
}

// readBody reads a request's body and unpacks it if it is gzip.
func readBody(r *http.Request) (*requestBody, error) {
	body := &requestBody{}
	var err error
	if body.wire, err = fill(r.Body, maxWireBytes); err != nil {
		return nil, err
	}
	switch r.Header.Get("Content-Encoding") {
	case "", "identity":
		return body, nil
	case "gzip":
		err = body.unpack()
	default:
		err = errSerialization("Unsupported Content-Encoding: use gzip or none")
	}
	if err != nil {
		body.release()
		return nil, err
	}
	return body, nil
}

func (b *requestBody) unpack() error {
	reader := gzipReaders.Get().(*gzip.Reader) // The pool holds nothing else.
	defer gzipReaders.Put(reader)
	err := reader.Reset(bytes.NewReader(b.wire.Bytes()))
	if err != nil {
		return errSerialization("The body is not gzip")
	}
	b.unpacked, err = fill(reader, maxBodyBytes)
	return err
}

// fill reads everything into a pooled buffer, up to a limit.
func fill(from io.Reader, limit int64) (*bytes.Buffer, error) {
	buffer := buffers.Get().(*bytes.Buffer) // The pool holds nothing else.
	buffer.Reset()
	n, err := buffer.ReadFrom(io.LimitReader(from, limit+1))
	if err == nil && n <= limit {
		return buffer, nil
	}
	buffers.Put(buffer)
	if n > limit {
		return nil, errTooLarge()
	}
	return nil, errSerialization("The body is cut short or damaged")
}

// data is the body without its encoding.
func (b *requestBody) data() *bytes.Buffer {
	if b.unpacked != nil {
		return b.unpacked
	}
	return b.wire
}

func (b *requestBody) release() {
	buffers.Put(b.wire)
	if b.unpacked != nil {
		buffers.Put(b.unpacked)
	}
}
