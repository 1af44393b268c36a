package chunk

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/gzip"
)

// Reader reads a chunk event by event, so that it is never in memory unpacked.
type Reader struct {
	packed  *Packed
	decoder *jsontext.Decoder
	read    int
	last    uint64
}

// NewReader checks the chunk's data against its checksum, and begins to read it.
func NewReader(packed *Packed) (*Reader, error) {
	if sum := Checksum(packed.Data); sum != packed.Checksum {
		return nil, fmt.Errorf("the data has the checksum %s, not %s", sum, packed.Checksum)
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(packed.Data))
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	return &Reader{packed: packed, decoder: jsontext.NewDecoder(unpacked)}, nil
}

// Next returns the next event; io.EOF after the last one, if those that were read are what the chunk says it has.
func (r *Reader) Next() (*Entry, error) {
	var entry Entry
	err := json.UnmarshalDecode(r.decoder, &entry)
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, r.end()
	}
	if err != nil {
		return nil, fmt.Errorf("reading event %d: %w", r.read+1, err)
	}
	switch {
	case r.read == 0 && entry.ResourceVersion != r.packed.First:
		return nil, fmt.Errorf("the first event has resourceVersion %d, not %d", entry.ResourceVersion, r.packed.First)
	case entry.ResourceVersion <= r.last:
		return nil, fmt.Errorf("reading event %d: %w", r.read+1, errOrder)
	}
	r.read++
	r.last = entry.ResourceVersion
	return &entry, nil
}

// end is io.EOF if nothing is missing.
func (r *Reader) end() error {
	if r.read != r.packed.Count || r.last != r.packed.Last {
		return fmt.Errorf("the chunk ends after %d events at resourceVersion %d, not after %d at %d", r.read, r.last, r.packed.Count, r.packed.Last)
	}
	return io.EOF
}
