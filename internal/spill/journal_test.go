package spill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

// afterKill is a copy of a store's folder as kill -9 would leave it just now.
func afterKill(t *testing.T, dir string) string {
	t.Helper()
	copied := t.TempDir()
	NewWithT(t).Expect(os.CopyFS(copied, os.DirFS(dir))).To(Succeed())
	return copied
}

// changeJournal rewrites the journal of a folder.
func changeJournal(t *testing.T, dir string, change func(content []byte) []byte) {
	t.Helper()
	g := NewWithT(t)
	path := filepath.Join(dir, journalName)
	content, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.WriteFile(path, change(content), 0o600)).To(Succeed())
}

func numbers(records []Record) []string {
	names := []string{}
	for _, record := range records {
		names = append(names, record.Name)
	}
	return names
}

// numberedFrom are the names of numbered(first) up to, and without, numbered(end).
func numberedFrom(first, end int) []string {
	names := []string{}
	for i := first; i < end; i++ {
		names = append(names, numbered(i).Name)
	}
	return names
}

func TestJournalHoldsWhatWasAcknowledgedBeforeAKill(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	store := open(t, dir, Options{})
	appendNumbered(t, store, 10)
	g.Expect(store.journal.frames()).To(HaveLen(10), "the database has not seen them")
	g.Expect(store.Oldest()).To(Equal(numbered(0).Name))

	copied := open(t, afterKill(t, dir), Options{})
	g.Expect(copied.Damaged()).To(BeEmpty())
	g.Expect(copied.Len()).To(Equal(10))
	g.Expect(copied.Bytes()).To(Equal(store.Bytes()))
	g.Expect(copied.Oldest()).To(Equal(numbered(0).Name))
	g.Expect(numbers(drain(t, copied))).To(Equal(numberedFrom(0, 10)))
}

func TestJournalMovesIntoTheDatabaseWhenFull(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	store := open(t, dir, Options{})
	const records = 30
	want := []string{}
	for i := range records {
		record := numbered(i)
		record.Body = bytes.Repeat([]byte{'x'}, 100_000)
		if i == 20 {
			record.Body = bytes.Repeat([]byte{'x'}, 2*journalBytes) // which never fits the journal
		}
		g.Expect(store.Append(t.Context(), record)).To(Succeed())
		want = append(want, record.Name)
	}
	copied := open(t, afterKill(t, dir), Options{})
	g.Expect(copied.Damaged()).To(BeEmpty())
	g.Expect(numbers(drain(t, copied))).To(Equal(want), "in order, each once")
	g.Expect(numbers(drain(t, store))).To(Equal(want))
}

func TestJournalForgetsWhatWasRemoved(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	store := open(t, dir, Options{})
	appendNumbered(t, store, 10)
	full := errors.New("full")
	err := store.Replay(t.Context(), func(_ context.Context, record Record) error {
		if record.Name == numbered(4).Name {
			return full
		}
		return nil
	})
	g.Expect(err).To(MatchError(full))
	g.Expect(store.Oldest()).To(Equal(numbered(4).Name))
	killed := afterKill(t, dir)
	// Its first bytes are not synced when it is emptied, so they can be what they were.
	changeJournal(t, killed, func(content []byte) []byte {
		var stale []byte
		for i := range 10 {
			stale = appendFrame(stale, frame{sequence: uint64(i + 1), group: uint64(i + 1), value: numbered(i).encode()})
		}
		return append(stale, content[len(stale):]...)
	})
	copied := open(t, killed, Options{})
	g.Expect(copied.Damaged()).To(BeEmpty())
	g.Expect(numbers(drain(t, copied))).To(Equal(numberedFrom(4, 10)))
}

func TestJournalEndsBeforeATornAppend(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	store := open(t, dir, Options{})
	appendNumbered(t, store, 10)
	end := store.journal.end
	var torn []byte
	for i := range 3 {
		torn = appendFrame(torn, frame{sequence: uint64(11 + i), group: 11, value: numbered(10 + i).encode()})
	}
	torn[frameHeader+6] ^= 1 // The first of the append's three did not reach the disk whole.
	killed := afterKill(t, dir)
	changeJournal(t, killed, func(content []byte) []byte {
		copy(content[end:], torn)
		return content
	})
	copied := open(t, killed, Options{})
	g.Expect(copied.Damaged()).To(BeEmpty(), "nobody was told that it was stored")
	g.Expect(copied.Append(t.Context(), numbered(10))).To(Succeed())
	g.Expect(numbers(drain(t, copied))).To(Equal(numberedFrom(0, 11)))
}

func TestDamagedJournalIsSetAsideAndWhatIsLeftOfItReplayed(t *testing.T) {
	const first, end = 100, 140 // whose frames are of one size
	size := len(appendFrame(nil, frame{value: numbered(first).encode()}))
	tests := map[string]struct {
		damage func(content []byte) []byte
		left   []string
	}{
		"one bit of one record": {
			damage: func(content []byte) []byte {
				content[5*size+frameHeader+9] ^= 1
				return content
			},
			left: append(numberedFrom(first, first+5), numberedFrom(first+6, end)...),
		},
		"one bit of a length": {
			damage: func(content []byte) []byte {
				content[6] ^= 1
				return content
			},
			left: numberedFrom(first+1, end),
		},
		"a sector of zeros": {
			damage: func(content []byte) []byte {
				clear(content[512:1024])
				return content
			},
			left: append(numberedFrom(first, first+512/size), numberedFrom(first+(1024+size-1)/size, end)...),
		},
		"cut": {
			damage: func(content []byte) []byte { return content[:7*size+3] },
			left:   numberedFrom(first, first+7),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			dir := t.TempDir()
			whole := open(t, dir, Options{})
			for i := first; i < end; i++ {
				g.Expect(whole.Append(t.Context(), numbered(i))).To(Succeed())
			}
			killed := afterKill(t, dir)
			changeJournal(t, killed, test.damage)
			damaged, err := os.ReadFile(filepath.Join(killed, journalName))
			g.Expect(err).NotTo(HaveOccurred())

			store := open(t, killed, Options{})
			g.Expect(store.Damaged()).To(HavePrefix(filepath.Join(killed, journalName) + ".damaged-"))
			kept, err := os.ReadFile(store.Damaged())
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(kept).To(Equal(damaged), "the damaged file is kept as it was found")
			g.Expect(store.Len()).To(Equal(len(test.left)))
			g.Expect(store.Append(t.Context(), numbered(end))).To(Succeed())
			g.Expect(numbers(drain(t, store))).To(Equal(append(test.left, numbered(end).Name)))
		})
	}
}

func TestJournalOutlivesItsDatabase(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	store := open(t, dir, Options{})
	for i := range 4 {
		g.Expect(store.Append(t.Context(), numbered(i))).To(Succeed())
		drain(t, store)
	}
	withoutDatabase := func() *Store {
		killed := afterKill(t, dir)
		g.Expect(os.WriteFile(filepath.Join(killed, fileName), fmt.Appendf(nil, "%8192s", "damaged"), 0o600)).To(Succeed())
		copied := open(t, killed, Options{})
		g.Expect(copied.Damaged()).To(HavePrefix(filepath.Join(killed, fileName) + ".damaged-"))
		return copied
	}
	g.Expect(withoutDatabase().Len()).To(BeZero(), "what was replayed is not replayed again")

	g.Expect(store.Append(t.Context(), numbered(4))).To(Succeed())
	copied := withoutDatabase()
	g.Expect(copied.Append(t.Context(), numbered(5))).To(Succeed())
	g.Expect(numbers(drain(t, copied))).To(Equal(numberedFrom(4, 6)))
}
