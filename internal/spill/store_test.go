package spill

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	. "github.com/onsi/gomega"
)

func open(t *testing.T, dir string, options Options) *Store {
	t.Helper()
	store, err := Open(dir, options)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func numbered(i int) Record {
	return Record{Namespace: "team-a", Name: fmt.Sprintf("event-%04d", i), Body: fmt.Appendf(nil, `{"n":%d}`, i)}
}

func appendNumbered(t *testing.T, store *Store, n int) {
	t.Helper()
	for i := range n {
		NewWithT(t).Expect(store.Append(t.Context(), numbered(i))).To(Succeed())
	}
}

// drain replays everything and returns it.
func drain(t *testing.T, store *Store) []Record {
	t.Helper()
	var mu sync.Mutex
	var records []Record
	err := store.Replay(t.Context(), func(_ context.Context, record Record) error {
		mu.Lock()
		defer mu.Unlock()
		records = append(records, record)
		return nil
	})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return records
}

func TestReplayGivesRecordsInOrderAndRemovesThem(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	store := open(t, dir, Options{})
	appendNumbered(t, store, 3*replayRecords+1)
	g.Expect(store.Len()).To(Equal(3*replayRecords + 1))
	g.Expect(store.Bytes()).To(BeNumerically(">", store.Len()*recordOverhead))
	g.Expect(store.Close()).To(Succeed())

	store = open(t, dir, Options{})
	g.Expect(store.Len()).To(Equal(3*replayRecords+1), "a restart keeps the count")
	records := drain(t, store)
	g.Expect(records).To(HaveLen(3*replayRecords + 1))
	for i, record := range records {
		g.Expect(record).To(Equal(numbered(i)))
	}
	g.Expect(store.Len()).To(BeZero())
	g.Expect(store.Bytes()).To(BeZero())
	g.Expect(drain(t, store)).To(BeEmpty())
}

func TestReplayStopsAtAnErrorAndResumesThere(t *testing.T) {
	for _, parallel := range []int{1, 4} {
		t.Run(fmt.Sprintf("parallel %d", parallel), func(t *testing.T) {
			g := NewWithT(t)
			store := open(t, t.TempDir(), Options{Parallel: parallel})
			appendNumbered(t, store, 100)
			refused := errors.New("refused")
			var written sync.Map
			err := store.Replay(t.Context(), func(_ context.Context, record Record) error {
				if record.Name >= numbered(70).Name {
					return refused
				}
				written.Store(record.Name, true)
				return nil
			})
			g.Expect(err).To(MatchError(refused))
			g.Expect(err).To(MatchError(ContainSubstring("team-a/event-00")))
			// Of those before the failed one, others under way in parallel may not have been started.
			g.Expect(store.Len()).To(And(BeNumerically(">=", 30), BeNumerically("<", 30+parallel)))
			kept := store.Len()

			rest := drain(t, store)
			for _, record := range rest {
				_, again := written.LoadOrStore(record.Name, true)
				g.Expect(again).To(BeFalse(), "%s was written twice", record.Name)
			}
			g.Expect(rest).To(HaveLen(kept))
		})
	}
}

func TestReplayStopsWithItsContext(t *testing.T) {
	g := NewWithT(t)
	store := open(t, t.TempDir(), Options{})
	appendNumbered(t, store, 10)
	ctx, cancel := context.WithCancel(t.Context())
	err := store.Replay(ctx, func(_ context.Context, record Record) error {
		if record.Name == numbered(3).Name {
			cancel()
		}
		return nil
	})
	g.Expect(err).To(MatchError(context.Canceled))
	g.Expect(store.Len()).To(Equal(6), "what was written before the end is removed")
}

func TestAppendIsRefusedWhenFull(t *testing.T) {
	g := NewWithT(t)
	cost := costOf(numbered(0).encode())
	store := open(t, t.TempDir(), Options{MaxBytes: 3 * cost})
	appendNumbered(t, store, 3)
	err := store.Append(t.Context(), numbered(3))
	g.Expect(err).To(MatchError(ErrFull))
	g.Expect(err).To(MatchError(ContainSubstring("3 records")))
	g.Expect(store.Len()).To(Equal(3))

	g.Expect(drain(t, store)).To(HaveLen(3))
	g.Expect(store.Append(t.Context(), numbered(4))).To(Succeed(), "there is room again")
}

func TestConcurrentAppendsAllSurvive(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	store := open(t, dir, Options{})
	const writers, each = 16, 25
	var wg sync.WaitGroup
	var failed atomic.Int64
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if store.Append(t.Context(), numbered(w*each+i)) != nil {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	g.Expect(failed.Load()).To(BeZero())
	g.Expect(store.Close()).To(Succeed())

	seen := map[string]int{}
	last := make([]string, writers)
	for _, record := range drain(t, open(t, dir, Options{})) {
		seen[record.Name]++
		var n int
		_, err := fmt.Sscanf(record.Name, "event-%d", &n)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(record.Name > last[n/each]).To(BeTrue(), "one writer's records keep their order")
		last[n/each] = record.Name
	}
	g.Expect(seen).To(HaveLen(writers * each))
	g.Expect(seen).To(HaveEach(1))
}

func TestAppendEndsWithItsContextAndWithClose(t *testing.T) {
	g := NewWithT(t)
	store := open(t, t.TempDir(), Options{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	g.Expect(store.Append(ended, numbered(0))).To(Or(Succeed(), MatchError(context.Canceled)))
	g.Expect(store.Close()).To(Succeed())
	g.Expect(store.Close()).To(Succeed(), "closing twice is harmless")
	g.Expect(store.Append(t.Context(), numbered(1))).To(MatchError(ErrClosed))
}

func TestOpenRefusesADirectoryInUse(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	store := open(t, dir, Options{})
	appendNumbered(t, store, 1)
	_, err := Open(dir, Options{})
	g.Expect(err).To(MatchError(ErrLocked))
	g.Expect(err).To(MatchError(ContainSubstring(dir)))
	g.Expect(store.Append(t.Context(), numbered(1))).To(Succeed(), "the first is not disturbed")
	g.Expect(filepath.Glob(filepath.Join(dir, "*.damaged-*"))).To(BeEmpty())
}

func TestDamagedFilesAreSetAside(t *testing.T) {
	const records = 200
	tests := map[string]func(g *WithT, path string, content []byte){
		"not a database": func(g *WithT, path string, _ []byte) {
			g.Expect(os.WriteFile(path, []byte("this is not a database, it is a note to nobody in particular"), 0o600)).To(Succeed())
		},
		"cut in the middle": func(g *WithT, path string, content []byte) {
			g.Expect(os.Truncate(path, int64(len(content)/2/4096*4096))).To(Succeed())
		},
		"cut to its meta pages": func(g *WithT, path string, _ []byte) {
			g.Expect(os.Truncate(path, 8192)).To(Succeed())
		},
		"both meta pages overwritten": func(g *WithT, path string, content []byte) {
			for i := range 8192 {
				content[i] = 0xa5
			}
			g.Expect(os.WriteFile(path, content, 0o600)).To(Succeed())
		},
		"all data pages overwritten": func(g *WithT, path string, content []byte) {
			for i := 8192; i < len(content); i++ {
				content[i] = 0xff
			}
			g.Expect(os.WriteFile(path, content, 0o600)).To(Succeed())
		},
		"one bit of one record": func(g *WithT, path string, content []byte) {
			i := lastIndex(content, numbered(records/2).Body)
			g.Expect(i).To(BeNumerically(">", 0))
			for ; i >= 0; i = lastIndex(content[:i], numbered(records/2).Body) {
				content[i+2] ^= 1 // in every copy that copy-on-write left behind
			}
			g.Expect(os.WriteFile(path, content, 0o600)).To(Succeed())
		},
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			dir := t.TempDir()
			store := open(t, dir, Options{})
			g.Expect(store.Damaged()).To(BeEmpty())
			withoutJournal(t, store)
			appendNumbered(t, store, records)
			g.Expect(store.Close()).To(Succeed())
			path := filepath.Join(dir, fileName)
			content, err := os.ReadFile(path)
			g.Expect(err).NotTo(HaveOccurred())
			damage(g, path, content)
			damaged, err := os.ReadFile(path)
			g.Expect(err).NotTo(HaveOccurred())

			store = open(t, dir, Options{})
			g.Expect(store.Damaged()).To(HavePrefix(path + ".damaged-"))
			kept, err := os.ReadFile(store.Damaged())
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(kept).To(Equal(damaged), "the damaged file is kept as it was found")
			g.Expect(store.Len()).To(BeZero())
			appendNumbered(t, store, 3)
			g.Expect(drain(t, store)).To(HaveLen(3))
		})
	}
}

// withoutJournal has the database take every append, as when the disk has no room for a journal.
func withoutJournal(t *testing.T, store *Store) {
	t.Helper()
	NewWithT(t).Expect(store.journal.file.Close()).To(Succeed())
	store.journal = nil
}

func lastIndex(content, part []byte) int {
	for i := len(content) - len(part); i >= 0; i-- {
		if string(content[i:i+len(part)]) == string(part) {
			return i
		}
	}
	return -1
}

func TestOpenFailsInADirectoryThatIsAFile(t *testing.T) {
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "file")
	g.Expect(os.WriteFile(path, nil, 0o600)).To(Succeed())
	_, err := Open(path, Options{})
	g.Expect(err).To(MatchError(ContainSubstring("opening the spill directory")))
}

func TestDecodeRefusesLengthsThatDoNotFit(t *testing.T) {
	g := NewWithT(t)
	value := Record{Namespace: "a", Name: "b", Body: []byte("c")}.encode()
	g.Expect(decode(value)).To(Equal(Record{Namespace: "a", Name: "b", Body: []byte("c")}))
	for cut := range value {
		_, err := decode(value[:cut])
		g.Expect(err).To(HaveOccurred())
	}
	long := Record{Namespace: "a"}.encode()
	long[4] = 200 // a length past the end, under a checksum that fits
	binary.BigEndian.PutUint32(long, checksum(long[4:]))
	_, err := decode(long)
	g.Expect(err).To(MatchError(ContainSubstring("length does not fit")))
}
