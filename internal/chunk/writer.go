package chunk

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/gzip"
)

// flushEvery is after how many bytes the compressor is made to give out what it has, so that the size of what was written
// is known closely enough.
const flushEvery = 128 << 10

// Packed is a finished chunk.
type Packed struct {
	First, Last uint64
	Count       int
	Checksum    string
	Data        []byte
}

// Writer packs events. Its zero value is ready to use.
type Writer struct {
	buffer     bytes.Buffer
	compressor *gzip.Writer
	unflushed  int
	packed     Packed
}

// Add packs one more event, which must have been recorded after the one before.
func (w *Writer) Add(entry *Entry) error {
	if entry.ResourceVersion <= w.packed.Last {
		return fmt.Errorf("packing event %s/%s: %w", entry.Namespace, entry.Name, errOrder)
	}
	line, err := json.Marshal(entry, jsontext.PreserveRawStrings(true))
	if err != nil {
		return fmt.Errorf("packing event %s/%s: %w", entry.Namespace, entry.Name, err)
	}
	if w.compressor == nil {
		// Writers fail on unknown levels only.
		w.compressor, _ = gzip.NewWriterLevel(&w.buffer, gzip.BestCompression)
	}
	if err := w.write(append(line, '\n')); err != nil {
		return fmt.Errorf("packing event %s/%s: %w", entry.Namespace, entry.Name, err)
	}
	if w.packed.Count == 0 {
		w.packed.First = entry.ResourceVersion
	}
	w.packed.Last = entry.ResourceVersion
	w.packed.Count++
	return nil
}

func (w *Writer) write(line []byte) error {
	if _, err := w.compressor.Write(line); err != nil {
		return err
	}
	if w.unflushed += len(line); w.unflushed < flushEvery {
		return nil
	}
	w.unflushed = 0
	return w.compressor.Flush()
}

// Count is how many events were added.
func (w *Writer) Count() int { return w.packed.Count }

// Size is at most a little more than what the chunk would have now, in bytes: what the compressor still holds counts as if
// it did not shrink to less than a quarter.
func (w *Writer) Size() int { return w.buffer.Len() + w.unflushed/4 }

// Finish returns the chunk, and begins another one.
func (w *Writer) Finish() (Packed, error) {
	if w.packed.Count == 0 {
		return Packed{}, nil
	}
	if err := w.compressor.Close(); err != nil {
		return Packed{}, fmt.Errorf("finishing a chunk: %w", err)
	}
	packed := w.packed
	packed.Data = bytes.Clone(w.buffer.Bytes())
	packed.Checksum = Checksum(packed.Data)
	w.buffer.Reset()
	w.compressor.Reset(&w.buffer)
	w.unflushed, w.packed = 0, Packed{}
	return packed, nil
}

// Checksum is the SHA-256 of a chunk's data, in hexadecimal.
func Checksum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
