package spill

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// recordOverhead is what a record takes beside its value: the key, and bbolt's own header of an element.
const recordOverhead = 8 + 16

var checksums = crc32.MakeTable(crc32.Castagnoli)

// Record is one event that waits to be written.
type Record struct {
	// Namespace and Name are where the event will be created. Replaying under the same name makes a repeated replay
	// harmless: the second create finds the first.
	Namespace, Name string
	// Body is the encoded event. The store does not look into it.
	Body []byte
}

// encode lays a record out as checksum, namespace, name and body. bbolt protects only its own meta pages, so that
// the checksum is what finds a bad sector.
func (r Record) encode() []byte {
	size := crc32.Size + 2*binary.MaxVarintLen64 + len(r.Namespace) + len(r.Name) + len(r.Body)
	value := make([]byte, crc32.Size, size)
	value = appendString(value, r.Namespace)
	value = appendString(value, r.Name)
	value = append(value, r.Body...)
	binary.BigEndian.PutUint32(value, checksum(value[crc32.Size:]))
	return value
}

// decode copies a record out of value, which bbolt owns and reuses.
func decode(value []byte) (Record, error) {
	if err := verify(value); err != nil {
		return Record{}, err
	}
	namespace, rest, err := cutString(value[crc32.Size:])
	if err != nil {
		return Record{}, fmt.Errorf("namespace: %w", err)
	}
	name, rest, err := cutString(rest)
	if err != nil {
		return Record{}, fmt.Errorf("name: %w", err)
	}
	return Record{Namespace: namespace, Name: name, Body: append([]byte(nil), rest...)}, nil
}

func verify(value []byte) error {
	if len(value) < crc32.Size {
		return errors.New("record is shorter than its checksum")
	}
	if binary.BigEndian.Uint32(value) != checksum(value[crc32.Size:]) {
		return errors.New("record does not match its checksum")
	}
	return nil
}

func appendString(value []byte, s string) []byte {
	return append(binary.AppendUvarint(value, uint64(len(s))), s...)
}

func cutString(data []byte) (string, []byte, error) {
	length, n := binary.Uvarint(data)
	if n <= 0 || length > uint64(len(data)) || int(length) > len(data)-n { //nolint:gosec // lengths of slices are not negative
		return "", nil, errors.New("length does not fit the record")
	}
	end := n + int(length) //nolint:gosec // at most the length of data
	return string(data[n:end]), data[end:], nil
}

func checksum(data []byte) uint32 { return crc32.Checksum(data, checksums) }
