package cli

import (
	"bytes"
	"io"
)

// screen passes on lines to a terminal, and makes harmless what others wrote into them. Files and pipes get what was recorded, as
// it is.
type screen struct {
	out  io.Writer
	line []byte
}

// Write takes parts of lines, which are passed on when they are whole.
func (s *screen) Write(p []byte) (int, error) {
	s.line = append(s.line, p...)
	for {
		end := bytes.IndexByte(s.line, '\n')
		if end < 0 {
			return len(p), nil
		}
		line := bytes.TrimSuffix(s.line[:end], []byte{'\r'}) // Lines of CSV end so.
		if _, err := io.WriteString(s.out, plain(string(line))+"\n"); err != nil {
			return 0, err
		}
		s.line = s.line[end+1:]
	}
}

// records is where events are written in a format for programs.
func (s *session) records() io.Writer {
	if s.Screen {
		return &screen{out: s.Out}
	}
	return s.Out
}
