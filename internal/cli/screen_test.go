package cli

import (
	"bytes"
	"testing"

	. "github.com/onsi/gomega"
)

func TestScreen(t *testing.T) {
	g := NewWithT(t)
	var out bytes.Buffer
	s := &screen{out: &out}
	for _, part := range []string{"one\r\ntwo \xe2", "\x80", "\xaepj\n", "\x1b[2J", "three\nrest"} {
		n, err := s.Write([]byte(part))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(n).To(Equal(len(part)))
	}
	g.Expect(out.String()).To(Equal("one\ntwo \\u202epj\n\\x1b[2Jthree\n"))
}
