package spill

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"sync"
)

const (
	journalName = "spill.journal"
	// journalBytes is how large the journal is, always: about a thousand events. Its blocks are on disk before the first
	// append, so that an append on a full disk still works, and its sync has no metadata to write.
	journalBytes = 1 << 20
)

// journal is the file in front of the database. An append costs it one write and one sync, where a transaction of bbolt
// takes four writes and two syncs. When it is full its frames move into the database, many in one transaction. A nil journal
// has no room and no frames.
//
// Frames have growing sequence numbers, and the database knows the last that has moved. So nothing is written to empty
// the journal: a frame that is not the next number is left over from before.
type journal struct {
	file *os.File
	// buffer is for the frames of one append.
	buffer []byte

	mu sync.Mutex
	// end is the offset behind the last frame.
	end int64
	// first is the value of the first frame; nil when there is none.
	first []byte
}

// append stores values under the sequence numbers from first on. When it returns nil they are on disk. What a failed
// append may have written is overwritten by the next.
func (j *journal) append(first uint64, values [][]byte) error {
	j.buffer = j.buffer[:0]
	for i, value := range values {
		j.buffer = appendFrame(j.buffer, frame{sequence: first + uint64(i), group: first, value: value})
	}
	if _, err := j.file.WriteAt(j.buffer, j.end); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	if err := syncData(j.file); err != nil {
		return fmt.Errorf("syncing the journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.end == 0 {
		j.first = values[0]
	}
	j.end += int64(len(j.buffer))
	return nil
}

// fits says that there is room for so many values of so many bytes in all.
func (j *journal) fits(values, size int) bool {
	return j != nil && j.end+int64(size+values*frameHeader) <= journalBytes
}

// frames are all that were appended since the last reset, oldest first.
func (j *journal) frames() ([]frame, error) {
	if j == nil {
		return nil, nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	content := make([]byte, j.end)
	if _, err := j.file.ReadAt(content, 0); err != nil {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}
	var frames []frame
	for at := 0; at < len(content); {
		next, ok := readFrame(content[at:])
		if !ok {
			return nil, fmt.Errorf("%w: byte %d of the journal begins no frame", errDamaged, at)
		}
		frames, at = append(frames, next), at+next.size()
	}
	return frames, nil
}

// reset begins anew, once the database has all frames.
func (j *journal) reset() {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.end == 0 {
		return
	}
	j.end, j.first = 0, nil
	// Their sequence numbers tell what is left over. Only without the database, should it be damaged, would they not.
	_, _ = j.file.WriteAt(make([]byte, frameHeader), 0)
}

// oldest is the value of the first frame; nil when there is none.
func (j *journal) oldest() []byte {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.first
}

// frame is a value in the journal.
type frame struct {
	sequence uint64
	// group is the sequence number of the first frame of the same append.
	group uint64
	value []byte
}

func (f frame) size() int { return frameHeader + len(f.value) }

// frameHeader is a checksum, the length of the value, and the two numbers.
const frameHeader = 4 + 4 + 8 + 8

// appendFrame lays out a frame. The header's checksum covers that of the value, with which each value begins.
func appendFrame(to []byte, f frame) []byte {
	start := len(to)
	to = append(to, 0, 0, 0, 0)
	to = binary.BigEndian.AppendUint32(to, uint32(len(f.value))) //nolint:gosec // A value fits the journal.
	to = binary.BigEndian.AppendUint64(to, f.sequence)
	to = binary.BigEndian.AppendUint64(to, f.group)
	to = append(to, f.value...)
	binary.BigEndian.PutUint32(to[start:], checksum(to[start+4:start+frameHeader+crc32.Size]))
	return to
}

// readFrame reads the frame that content begins with; false when it does not begin with a whole one.
func readFrame(content []byte) (frame, bool) {
	if len(content) < frameHeader+crc32.Size {
		return frame{}, false
	}
	length := int(binary.BigEndian.Uint32(content[4:]))
	if length < crc32.Size || length > len(content)-frameHeader {
		return frame{}, false
	}
	if binary.BigEndian.Uint32(content) != checksum(content[4:frameHeader+crc32.Size]) {
		return frame{}, false
	}
	f := frame{
		sequence: binary.BigEndian.Uint64(content[8:]),
		group:    binary.BigEndian.Uint64(content[16:]),
		value:    content[frameHeader : frameHeader+length],
	}
	return f, verify(f.value) == nil
}
