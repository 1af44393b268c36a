package chunk

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// readAll reads a chunk to its end.
func readAll(packed *Packed) ([]Entry, error) {
	reader, err := NewReader(packed)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for {
		entry, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return entries, err
		}
		entries = append(entries, *entry)
	}
}

func entryNumber(n int) Entry {
	return Entry{
		Namespace: "shop", Name: fmt.Sprintf("event-%05d", n), ResourceVersion: uint64(10 + 2*n),
		Outcome: v1alpha1.OutcomePersisted, Spec: jsontext.Value(fmt.Sprintf(`{"id":"%d","note":"a \"note\" 💡 of <html>"}`, n)),
	}
}

func packed(t *testing.T, count int) ([]Entry, Packed) {
	t.Helper()
	g := NewWithT(t)
	var w Writer
	var entries []Entry
	for n := range count {
		entries = append(entries, entryNumber(n))
		g.Expect(w.Add(&entries[n])).To(Succeed())
	}
	finished, err := w.Finish()
	g.Expect(err).NotTo(HaveOccurred())
	return entries, finished
}

func TestRoundTrip(t *testing.T) {
	g := NewWithT(t)
	entries, finished := packed(t, 5000)
	g.Expect(finished).To(And(HaveField("First", BeEquivalentTo(10)), HaveField("Last", BeEquivalentTo(10+2*4999)), HaveField("Count", 5000)))
	read, err := readAll(&finished)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(read).To(Equal(entries))
}

func TestAWriterIsUsedAgain(t *testing.T) {
	g := NewWithT(t)
	var w Writer
	for round := range 3 {
		entry := entryNumber(10 - round) // Each chunk stands for itself.
		g.Expect(w.Add(&entry)).To(Succeed())
		finished, err := w.Finish()
		g.Expect(err).NotTo(HaveOccurred())
		read, err := readAll(&finished)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(read).To(Equal([]Entry{entry}))
		g.Expect(w.Count()).To(BeZero())
		g.Expect(w.Size()).To(BeNumerically("<", 64))
	}
}

func TestSizeIsCloseToWhatTheChunkHas(t *testing.T) {
	g := NewWithT(t)
	var w Writer
	for n := range 20_000 {
		entry := entryNumber(n)
		g.Expect(w.Add(&entry)).To(Succeed())
	}
	estimated := w.Size()
	finished, err := w.Finish()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(estimated).To(BeNumerically("~", len(finished.Data), flushEvery/4))
}

func TestRefusesAnotherOrder(t *testing.T) {
	g := NewWithT(t)
	var w Writer
	first, second := entryNumber(2), entryNumber(1)
	g.Expect(w.Add(&first)).To(Succeed())
	g.Expect(w.Add(&second)).To(MatchError(errOrder))
	g.Expect(w.Add(&first)).To(MatchError(errOrder), "nor the same twice")
}

func TestNoticesDamage(t *testing.T) {
	resealed := func(change func(*Packed)) func(*Packed) {
		return func(p *Packed) { change(p); p.Checksum = Checksum(p.Data) }
	}
	for name, test := range map[string]struct {
		damage func(*Packed)
		want   string
	}{
		"a changed byte": {func(p *Packed) { p.Data[len(p.Data)/2] ^= 1 }, "checksum"},
		"cut off":        {resealed(func(p *Packed) { p.Data = p.Data[:len(p.Data)/2] }), "unexpected EOF"},
		"nothing":        {resealed(func(p *Packed) { p.Data = nil }), "unpacking"},
		"another first":  {func(p *Packed) { p.First++ }, "first event"},
		"another last":   {func(p *Packed) { p.Last++ }, "ends after"},
		"another count":  {func(p *Packed) { p.Count++ }, "ends after"},
	} {
		t.Run(name, func(t *testing.T) {
			_, finished := packed(t, 100)
			test.damage(&finished)
			_, err := readAll(&finished)
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(test.want)))
		})
	}
}

// FuzzRoundTrip: whatever the specs are, what is packed comes out again, byte for byte and in order.
func FuzzRoundTrip(f *testing.F) {
	f.Add("ns", "name", "why", []byte(`{"a":[1,2.50,"\u00e9"],"b":null}`), uint64(1), uint8(3))
	f.Add("", "", "\xff", []byte(`{}`), uint64(1<<63), uint8(200))
	f.Fuzz(func(t *testing.T, namespace, name, message string, spec []byte, version uint64, count uint8) {
		g := NewWithT(t)
		value := jsontext.Value(spec)
		if value.Compact() != nil || value.Kind() != jsontext.KindBeginObject {
			return // The API server stores objects only, without spaces.
		}
		var w Writer
		var want []Entry
		for n := range int(count) {
			entry := Entry{Namespace: namespace, Name: name, Message: message, ResourceVersion: version + uint64(n), Spec: value}
			if w.Add(&entry) == nil {
				want = append(want, entry)
			}
		}
		finished, err := w.Finish()
		g.Expect(err).NotTo(HaveOccurred())
		if len(want) == 0 {
			g.Expect(finished).To(BeZero())
			return
		}
		read, err := readAll(&finished)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(read).To(Equal(want))
	})
}

// FuzzReader: whatever the data is, reading it ends.
func FuzzReader(f *testing.F) {
	var w Writer
	entry := entryNumber(1)
	_ = w.Add(&entry)
	finished, _ := w.Finish()
	f.Add(finished.Data, 1)
	f.Add([]byte("{}"), 0)
	f.Fuzz(func(t *testing.T, data []byte, count int) {
		entries, err := readAll(&Packed{Data: data, Checksum: Checksum(data), Count: count, First: 12, Last: 12})
		if err == nil && len(entries) != count {
			t.Errorf("%d events, want %d", len(entries), count)
		}
	})
}
