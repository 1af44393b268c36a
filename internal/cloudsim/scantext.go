package cloudsim

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// plain marks the bytes that stand for themselves in a JSON string.
var plain = func() (table [256]bool) {
	for c := range table {
		table[c] = c >= 0x20 && c != '"' && c != '\\'
	}
	return table
}()

// text reads a JSON string and counts the bytes that it has in UTF-8.
func (s *scanner) text() (text, error) {
	if err := s.expect('"'); err != nil {
		return text{}, err
	}
	start, saved := s.pos, 0 // saved is how many bytes shorter the string is than its escaped form.
	for {
		for s.pos < len(s.in) && plain[s.in[s.pos]] {
			s.pos++
		}
		switch {
		case s.pos == len(s.in):
			return text{}, syntaxError("unterminated string")
		case s.in[s.pos] == '"':
			s.pos++
			return text{quoted: s.in[start-1 : s.pos], size: s.pos - 1 - start - saved, escaped: saved > 0}, nil
		case s.in[s.pos] != '\\':
			return text{}, syntaxError("control character in a string")
		}
		before := s.pos
		size, err := s.escape()
		if err != nil {
			return text{}, err
		}
		saved += s.pos - before - size
	}
}

// escape reads an escape sequence, or a pair of them for one character, and returns the character's bytes in UTF-8.
func (s *scanner) escape() (int, error) {
	if s.pos+1 == len(s.in) {
		return 0, syntaxError("unterminated string")
	}
	switch s.in[s.pos+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return 1, nil
	case 'u':
	default:
		return 0, syntaxError("unknown escape sequence")
	}
	first, ok := s.unicode()
	if !ok {
		return 0, syntaxError("expected four hexadecimal digits")
	}
	s.pos += 6
	if !utf16.IsSurrogate(first) {
		return utf8.RuneLen(first), nil
	}
	if second, ok := s.unicode(); ok {
		if both := utf16.DecodeRune(first, second); both != utf8.RuneError {
			s.pos += 6
			return utf8.RuneLen(both), nil
		}
	}
	return utf8.RuneLen(utf8.RuneError), nil // What a surrogate without its other half is replaced by.
}

// unicode looks at a \uXXXX at the current position.
func (s *scanner) unicode() (rune, bool) {
	if len(s.in)-s.pos < 6 || s.in[s.pos] != '\\' || s.in[s.pos+1] != 'u' {
		return 0, false
	}
	code, err := strconv.ParseUint(string(s.in[s.pos+2:s.pos+6]), 16, 16)
	return rune(code), err == nil
}
