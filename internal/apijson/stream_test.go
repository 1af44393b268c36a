package apijson

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"unsafe"

	. "github.com/onsi/gomega"
)

func TestWordsShareMemory(t *testing.T) {
	g := NewWithT(t)
	read := func(quoted string) string {
		s := Scan{Data: []byte(quoted)}
		word := s.Word()
		g.Expect(s.Err).NotTo(HaveOccurred())
		return word
	}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for i := range 10_000 { // More than there are places for.
				if word := strconv.Itoa(i); read(`"`+word+`"`) != word {
					t.Errorf("%s became another word.", word)
				}
			}
		})
	}
	readers.Wait()
	first, second := read(`"ConfigMap"`), read(`"ConfigMap"`)
	g.Expect(first).To(Equal("ConfigMap"))
	g.Expect(unsafe.StringData(second)).To(BeIdenticalTo(unsafe.StringData(first)))
	g.Expect(read(`"a\u0062\"c"`)).To(Equal(`ab"c`))
	g.Expect(read("null")).To(BeEmpty())
	long := strings.Repeat("x", maxWord)
	g.Expect(read(`"` + long + `"`)).To(Equal(long))
}

// TestStream: values are found however they arrive.
func TestStream(t *testing.T) {
	list := `{"kind":"List","metadata":{"resourceVersion":"7","continue":"c"},"items":[{"a":"}\"]"} , {"b":[1,{"c":null}]},3 ,"x" ], "more":true}`
	for name, reader := range map[string]func(io.Reader) io.Reader{
		"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "with the end": iotest.DataErrReader,
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var meta map[string]string
			var items []string
			g.Expect(DecodeList(NewStream(reader(strings.NewReader(list))), &meta, func(item []byte) error {
				items = append(items, string(item))
				return nil
			})).To(Succeed())
			g.Expect(items).To(Equal([]string{`{"a":"}\"]"}`, `{"b":[1,{"c":null}]}`, "3", `"x"`}))
			g.Expect(meta).To(Equal(map[string]string{"resourceVersion": "7", "continue": "c"}))
		})
	}
	for n := range len(list) {
		err := DecodeList(NewStream(strings.NewReader(list[:n])), &map[string]string{}, func([]byte) error { return nil })
		NewWithT(t).Expect(err).To(HaveOccurred(), list[:n])
	}
}

// TestStreamIsBounded: a value that does not end takes no more memory than any may, and large ones are read whole.
func TestStreamIsBounded(t *testing.T) {
	g := NewWithT(t)
	large := `"` + strings.Repeat("x", 3*streamBuffer) + `"`
	values := NewStream(strings.NewReader(large + large + "1"))
	for _, want := range []string{large, large, "1"} {
		value, err := values.Value()
		if want == "1" {
			g.Expect(errors.Is(err, io.ErrUnexpectedEOF)).To(BeTrue(), "a number may go on")
			break
		}
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(value)).To(Equal(want))
	}
	_, err := NewStream(io.MultiReader(strings.NewReader(`"`), endless{})).Value()
	g.Expect(err).To(MatchError(errTooLarge))
}

// endless is a text without an end.
type endless struct{}

func (endless) Read(into []byte) (int, error) {
	return copy(into, bytes.Repeat([]byte("x"), len(into))), nil
}
