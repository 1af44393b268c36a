package apijson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	// streamBuffer is what is read at a time, in bytes.
	streamBuffer = 32 << 10
	// maxValue bounds one value, in bytes: an object of the API server has at most some MiB.
	maxValue = 32 << 20
)

var (
	// ErrNotJSON says that a value is not JSON, or cut off.
	ErrNotJSON  = errors.New("not JSON")
	errTooLarge = fmt.Errorf("a value has more than %d bytes", maxValue)
)

// Stream reads the JSON that the API server sends, value by value. It looks for where values end and not into them: whether an event
// is JSON shows when its record is made canonical.
type Stream struct {
	from   io.Reader
	buffer []byte
	// At is where the next value begins, and end where the buffer's content ends.
	at, end int
}

// NewStream reads what comes from a reader, and reads ahead.
func NewStream(from io.Reader) *Stream { return &Stream{from: from} }

// Value reads the next value; the result is good until the next call. It fails with io.EOF where nothing is left.
func (s *Stream) Value() ([]byte, error) {
	if _, err := s.peek(); err != nil {
		return nil, err
	}
	var looking valueEnd
	for seen := s.at; ; {
		n, done := looking.find(s.buffer[seen:s.end])
		if seen += n; done {
			value := s.buffer[s.at:seen]
			s.at = seen
			return value, nil
		}
		moved, err := s.more()
		if err != nil {
			return nil, unexpected(err)
		}
		seen -= moved
	}
}

// Peek is the next byte that is no white space.
func (s *Stream) peek() (byte, error) {
	for {
		for ; s.at < s.end; s.at++ {
			if b := s.buffer[s.at]; !isSpace(b) {
				return b, nil
			}
		}
		if _, err := s.more(); err != nil {
			return 0, err
		}
	}
}

// skip passes over a byte that must come next.
func (s *Stream) skip(wanted byte) error {
	b, err := s.peek()
	if err != nil {
		return unexpected(err)
	}
	if b != wanted {
		return fmt.Errorf("%w: %q where %q should be", ErrNotJSON, b, wanted)
	}
	s.at++
	return nil
}

// more reads on, and says by how much what was read before moved towards the buffer's beginning.
func (s *Stream) more() (moved int, err error) {
	if s.end == len(s.buffer) {
		moved = s.at
		into := s.buffer
		if s.at < len(s.buffer)/2 || len(s.buffer) == 0 {
			if len(s.buffer) >= maxValue {
				return 0, errTooLarge
			}
			into = make([]byte, max(2*len(s.buffer), streamBuffer))
		}
		s.end = copy(into, s.buffer[s.at:s.end])
		s.at, s.buffer = 0, into
	}
	n, err := s.from.Read(s.buffer[s.end:])
	s.end += n
	if n > 0 {
		err = nil
	}
	return moved, err
}

// eachMember has read be called at the value of each member of an object, which it must read.
func (s *Stream) eachMember(read func(name string) error) error {
	return s.each('{', '}', func() error {
		quoted, err := s.Value()
		if err != nil {
			return unexpected(err)
		}
		name, err := unquote(quoted)
		if err != nil {
			return err
		}
		if err := s.skip(':'); err != nil {
			return err
		}
		return read(name)
	})
}

// eachElement has read be called at each element of a list, which it must read; null is an empty list.
func (s *Stream) eachElement(read func() error) error {
	if b, err := s.peek(); err == nil && b == 'n' {
		_, err := s.Value()
		return err
	}
	return s.each('[', ']', read)
}

func (s *Stream) each(opening, closing byte, read func() error) error {
	if err := s.skip(opening); err != nil {
		return err
	}
	for first := true; ; first = false {
		b, err := s.peek()
		switch {
		case err != nil:
			return unexpected(err)
		case b == closing:
			s.at++
			return nil
		case !first:
			if err := s.skip(','); err != nil {
				return err
			}
		}
		if err := read(); err != nil {
			return err
		}
	}
}

// unexpected is for an end in the middle of something.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func isSpace(b byte) bool { return b == ' ' || b == '\n' || b == '\r' || b == '\t' }

// valueEnd finds where a value ends, of which it is shown piece after piece.
type valueEnd struct {
	depth             int
	inString, escaped bool
}

// find returns how many bytes of a piece belong to the value, and whether it ends there.
func (e *valueEnd) find(piece []byte) (n int, done bool) {
	for i := 0; i < len(piece); i++ {
		if e.inString {
			i = e.findQuote(piece, i)
			if !e.inString && e.depth == 0 {
				return i + 1, true
			}
			continue
		}
		switch b := piece[i]; b {
		case '"':
			e.inString = true
		case '{', '[':
			e.depth++
		case '}', ']', ',', ' ', '\n', '\r', '\t':
			if e.depth == 0 {
				return i, true // Of a number, true, false or null.
			}
			if b == '}' || b == ']' {
				if e.depth--; e.depth == 0 {
					return i + 1, true
				}
			}
		}
	}
	return len(piece), false
}

// findQuote returns where the string ends that a piece is in at a place, or the piece's length.
func (e *valueEnd) findQuote(piece []byte, from int) int {
	for at := from; ; {
		n := bytes.IndexByte(piece[at:], '"')
		end := at + n
		if n < 0 {
			end = len(piece)
		}
		escapes := 0
		for end-1-escapes >= from && piece[end-1-escapes] == '\\' {
			escapes++
		}
		if end-escapes == from && e.escaped {
			escapes++ // It began in the piece before.
		}
		if n < 0 {
			e.escaped = escapes%2 == 1
			return end
		}
		if escapes%2 == 0 {
			e.inString, e.escaped = false, false
			return end
		}
		at = end + 1
		from, e.escaped = at, false // The quote is text.
	}
}
