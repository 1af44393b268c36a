package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// book is a trail's records and ledger, written as delivery writes them.
type book struct {
	t       *testing.T
	uid     string
	key     Key
	keys    []Announcement
	head    Head
	heads   []Head // heads[n] is that after record n
	records [][]byte
	entries [][]byte
	last    string // the hash of the last entry
}

func newBook(t *testing.T, uid string) *book {
	t.Helper()
	b := &book{t: t, uid: uid, key: seeded(1), head: Genesis(uid), last: Genesis(uid).Hash}
	b.heads = []Head{b.head}
	b.keys = []Announcement{Announce(b.key.Public())}
	b.entry(KindGenesis)
	return b
}

// seeded is a key that is the same in each run.
func seeded(n byte) Key {
	seed := make([]byte, KeySize)
	seed[0] = n
	key, err := KeyFromSeed(seed)
	if err != nil {
		panic(err)
	}
	return key
}

// write delivers records, but for those that the destination refuses.
func (b *book) write(count int, refused ...int64) {
	b.t.Helper()
	var gaps []Gap
	for range count {
		n := b.head.Sequence + 1
		event := Event{Name: fmt.Sprintf("event-%d", n), Namespace: "shop", ID: fmt.Sprintf("id-%d", n), Spec: json.RawMessage(fmt.Sprintf(
			`{"id":"id-%d","note":"because %d","trailRef":{"namespace":"shop","name":"security","uid":%q}}`, n, n, b.uid))}
		record, next, err := b.head.Record(event, Judgement{Outcome: v1alpha1.OutcomePersisted})
		NewWithT(b.t).Expect(err).NotTo(HaveOccurred())
		if slices.Contains(refused, n) {
			gaps = append(gaps, Gap{First: n, Last: n, PreviousHash: b.head.Hash, Hash: next.Hash, Reason: "RecordRejected"})
		} else {
			b.records = append(b.records, record)
		}
		b.head = next
		b.heads = append(b.heads, next)
	}
	if len(gaps) > 0 {
		b.entry(KindGap, gaps...)
	}
}

func (b *book) entry(kind Kind, gaps ...Gap) {
	b.t.Helper()
	entry := Entry{
		Kind: kind, Number: int64(len(b.entries) + 1), PreviousEntry: b.last, Cluster: "c1",
		Trail:       Trail{Namespace: "shop", Name: "security", UID: b.uid},
		Destination: Destination{Region: "eu-west-1", LogGroup: "/audit", LogStream: "s"},
		Time:        metav1.NewTime(time.Unix(1_700_000_000+int64(len(b.entries))*3600, 0)),
		Sequence:    b.head.Sequence, Hash: b.head.Hash, Delivered: int64(len(b.records)), Rejected: b.head.Sequence - int64(len(b.records)),
		Gaps: gaps, Keys: b.keys,
	}
	message, err := entry.Seal(b.key)
	NewWithT(b.t).Expect(err).NotTo(HaveOccurred())
	b.entries, b.last, b.keys = append(b.entries, message), EntryHash(message), nil
}

// rotate has another key sign from the next entry on.
func (b *book) rotate(next Key) {
	b.t.Helper()
	announced, err := b.key.Endorse(next.Public())
	NewWithT(b.t).Expect(err).NotTo(HaveOccurred())
	b.keys, b.key = append(b.keys, announced), next
}

// verify reads the book with the key of its beginning.
func (b *book) verify(change ...func(*Options)) *Report {
	b.t.Helper()
	options := Options{TrailUID: b.uid, Keys: []PublicKey{seeded(1).Public()}}
	for _, apply := range change {
		apply(&options)
	}
	report, err := Verify(all(b.entries), all(b.records), options)
	NewWithT(b.t).Expect(err).NotTo(HaveOccurred())
	return report
}

func all(messages [][]byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, message := range messages {
			if !yield(message, nil) {
				return
			}
		}
	}
}

// typical has refused records, checkpoints and a change of key.
func typical(t *testing.T) *book {
	t.Helper()
	b := newBook(t, "uid-1")
	b.write(10)
	b.entry(KindCheckpoint)
	b.write(10, 13, 14, 17)
	b.rotate(seeded(2))
	b.entry(KindKey)
	b.write(10)
	b.rotate(seeded(3))
	b.rotate(seeded(4)) // Nothing was written in between.
	b.entry(KindKey)
	return b
}

func TestVerifyAcceptsWhatIsWhole(t *testing.T) {
	g := NewWithT(t)
	b := typical(t)
	report := b.verify()
	g.Expect(report.Findings).To(BeEmpty())
	g.Expect(*report).To(And(
		HaveField("Records", BeEquivalentTo(27)), HaveField("Rejected", BeEquivalentTo(3)), HaveField("Last", BeEquivalentTo(30)),
		HaveField("Entries", BeEquivalentTo(5)), HaveField("Vouched", BeEquivalentTo(30)), HaveField("Repeated", BeZero()),
		HaveField("OutOfOrder", BeZero()), HaveField("Anchored", BeTrue())))
	g.Expect(report.VouchedAt.Unix()).To(BeEquivalentTo(1_700_000_000 + 4*3600))

	g.Expect(b.verify(func(o *Options) { o.Keys = nil })).To(And(
		HaveField("Anchored", BeFalse()), HaveField("Findings", BeEmpty())))
	for _, n := range []byte{2, 4} {
		g.Expect(b.verify(func(o *Options) { o.Keys = []PublicKey{seeded(n).Public()} }).Findings).To(BeEmpty(),
			"a later key vouches for what came before it")
	}
}

func TestVerifyTakesAnyOrder(t *testing.T) {
	g := NewWithT(t)
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		b := typical(t)
		b.records = append(b.records, b.records[3:9]...)
		b.entries = append(b.entries, b.entries[1])
		random.Shuffle(len(b.records), func(i, j int) { b.records[i], b.records[j] = b.records[j], b.records[i] })
		random.Shuffle(len(b.entries), func(i, j int) { b.entries[i], b.entries[j] = b.entries[j], b.entries[i] })
		report := b.verify()
		g.Expect(report.Findings).To(BeEmpty(), "seed %d", seed)
		g.Expect(report.Repeated).To(BeEquivalentTo(6))
		g.Expect(report.RepeatedEntries).To(BeEquivalentTo(1))
		g.Expect(report.OutOfOrder).To(BeNumerically(">", 0))
	}
}

// forge makes the record n again with another content and the hashes that belong to it.
func forge(b *book, n int) []byte {
	record, _, err := b.heads[n-1].Record(Event{Name: "x", Namespace: "shop", ID: "x", Spec: json.RawMessage(fmt.Sprintf(
		`{"note":"nothing happened","trailRef":{"uid":%q}}`, b.uid))}, Judgement{})
	NewWithT(b.t).Expect(err).NotTo(HaveOccurred())
	return record
}

func replace(message []byte, before, after string) []byte {
	return []byte(strings.Replace(string(message), before, after, 1))
}

// finding matches what a finding is about.
func finding(damage Damage, inLedger bool, first, last int64) OmegaMatcher {
	return And(HaveField("Damage", damage), HaveField("InLedger", inLedger), HaveField("First", first), HaveField("Last", last),
		HaveField("Message", Not(BeEmpty())))
}

func TestVerifyFindsDamage(t *testing.T) {
	const records, ledger = false, true
	tests := map[string]struct {
		do      func(b *book)
		options func(o *Options, b *book)
		want    []OmegaMatcher
	}{
		"a record is missing": {
			do: func(b *book) { b.records = slices.Delete(b.records, 4, 5) }, want: []OmegaMatcher{finding(Missing, records, 5, 5)}},
		"the first record is missing": {
			do: func(b *book) { b.records = b.records[1:] }, want: []OmegaMatcher{finding(Missing, records, 1, 1)}},
		"records next to a refused one are missing": {
			do: func(b *book) { b.records = slices.Delete(b.records, 10, 12) }, want: []OmegaMatcher{finding(Missing, records, 11, 12)}},
		"records are missing around a checkpoint": {
			do:   func(b *book) { b.records = slices.Delete(b.records, 8, 12) },
			want: []OmegaMatcher{finding(Missing, records, 9, 12)}},
		"the newest records are cut off": {
			do: func(b *book) { b.records = b.records[:len(b.records)-5] }, want: []OmegaMatcher{finding(Truncated, records, 26, 30)}},
		"the newest records are cut off behind refused ones": {
			do: func(b *book) { b.records = b.records[:11] }, want: []OmegaMatcher{finding(Truncated, records, 12, 30)}},
		"all records are gone": {
			do: func(b *book) { b.records = nil }, want: []OmegaMatcher{finding(Truncated, records, 1, 30)}},
		"records and entries are cut off, but the trail's status knows": {
			do: func(b *book) { b.records, b.entries = b.records[:10], b.entries[:2] },
			options: func(o *Options, b *book) {
				o.Tip, o.LedgerTip = &b.head, &Head{Sequence: 5, Hash: b.last}
			},
			want: []OmegaMatcher{finding(Truncated, ledger, 3, 5), finding(Truncated, records, 11, 30)}},
		"a record was changed": {
			do:   func(b *book) { b.records[4] = replace(b.records[4], "because", "beclause") },
			want: []OmegaMatcher{finding(Changed, records, 5, 5)}},
		"a record's id was changed": {
			do:   func(b *book) { b.records[4] = replace(b.records[4], `,"id":"id-5"`, `,"id":"id-6"`) },
			want: []OmegaMatcher{finding(Changed, records, 5, 5)}},
		"a record was made again with its own hash": {
			do: func(b *book) { b.records[4] = forge(b, 5) }, want: []OmegaMatcher{finding(Unlinked, records, 6, 6)}},
		"the last record was made again with its own hash": {
			do:   func(b *book) { b.records[len(b.records)-1] = forge(b, 30) },
			want: []OmegaMatcher{finding(Contradicted, records, 30, 30)}},
		"a record behind a refused one was made again": {
			do:   func(b *book) { b.records[12] = replace(forge(b, 15), b.heads[14].Hash, b.heads[13].Hash) },
			want: []OmegaMatcher{finding(Changed, records, 15, 15), finding(Contradicted, records, 15, 15), finding(Unlinked, records, 16, 16)}},
		"two records were swapped": {
			do: func(b *book) {
				b.records[3] = replace(b.records[3], `"sequence":4`, `"sequence":5`)
				b.records[4] = replace(b.records[4], `"sequence":5`, `"sequence":4`)
			},
			want: []OmegaMatcher{
				finding(Changed, records, 5, 5), finding(Changed, records, 4, 4), finding(Unlinked, records, 5, 5),
				finding(Unlinked, records, 4, 4), finding(Unlinked, records, 6, 6)}},
		"a record came again with other content": {
			do: func(b *book) { b.records = append(b.records, forge(b, 5)) }, want: []OmegaMatcher{finding(Conflicting, records, 5, 5)}},
		"a refused record is there": {
			do: func(b *book) { b.records = append(b.records, forge(b, 13)) }, want: []OmegaMatcher{finding(Unexpected, records, 13, 13)}},
		"something else is there": {
			do: func(b *book) { b.records = append(b.records, []byte("hello")) }, want: []OmegaMatcher{finding(Unreadable, records, 0, 0)}},
		"the whole chain was made again": {
			do: func(b *book) {
				again := newBook(b.t, b.uid)
				again.head = Genesis("another")
				again.write(30)
				b.records = again.records
			},
			want: []OmegaMatcher{
				finding(Unlinked, records, 1, 1), finding(Contradicted, records, 10, 10), finding(Contradicted, records, 11, 11),
				finding(Contradicted, records, 12, 12),
				finding(Unexpected, records, 13, 13), finding(Unexpected, records, 14, 14), finding(Contradicted, records, 15, 15),
				finding(Contradicted, records, 16, 16), finding(Unexpected, records, 17, 17), finding(Contradicted, records, 18, 18),
				finding(Contradicted, records, 20, 20), finding(Contradicted, records, 21, 21), finding(Contradicted, records, 30, 30)}},
		"an entry is missing": {
			do: func(b *book) { b.entries = slices.Delete(b.entries, 1, 2) }, want: []OmegaMatcher{finding(Missing, ledger, 2, 2)}},
		"an entry that tells of refused records is missing": {
			do:   func(b *book) { b.entries = slices.Delete(b.entries, 2, 3) },
			want: []OmegaMatcher{finding(Missing, ledger, 3, 3), finding(Missing, records, 13, 14), finding(Missing, records, 17, 17)}},
		"an entry was changed": {
			do:   func(b *book) { b.entries[1] = replace(b.entries[1], `"sequence":10`, `"sequence":11`) },
			want: []OmegaMatcher{finding(Forged, ledger, 2, 2), finding(Missing, ledger, 2, 2)}},
		"an entry was written in another form": {
			do:   func(b *book) { b.entries[1] = append(b.entries[1], ' ') },
			want: []OmegaMatcher{finding(Unreadable, ledger, 2, 2), finding(Missing, ledger, 2, 2)}},
		"an entry was made by somebody else": {
			do: func(b *book) {
				b.key = seeded(9)
				b.entry(KindCheckpoint)
			},
			want: []OmegaMatcher{finding(Forged, ledger, 6, 6)}},
		"an entry was made by somebody else who announces his key": {
			do: func(b *book) {
				b.key, b.keys = seeded(9), []Announcement{Announce(seeded(9).Public())}
				b.entry(KindKey)
			},
			want: []OmegaMatcher{finding(Forged, ledger, 6, 6)}},
		"somebody else endorses himself": {
			do: func(b *book) {
				a, err := seeded(9).Endorse(seeded(9).Public())
				NewWithT(b.t).Expect(err).NotTo(HaveOccurred())
				a.PreviousID = seeded(4).Public().ID()
				b.key, b.keys = seeded(9), []Announcement{a}
				b.entry(KindKey)
			},
			want: []OmegaMatcher{finding(Forged, ledger, 6, 6)}},
		"the whole ledger was made by somebody else": {
			do:   func(b *book) { *b = *strangers(b) },
			want: []OmegaMatcher{finding(Forged, ledger, 1, 2)}},
		"there is no ledger": {
			do: func(b *book) { b.entries = nil }, want: []OmegaMatcher{finding(Missing, ledger, 0, 0), finding(Missing, records, 13, 14), finding(Missing, records, 17, 17)}},
		"an entry is there twice, with different content": {
			do: func(b *book) {
				b.entries, b.last, b.key = b.entries[:4:4], EntryHash(b.entries[3]), seeded(2)
				b.entry(KindCheckpoint)
				b.entries = append(b.entries, typical(b.t).entries[4])
			},
			want: []OmegaMatcher{finding(Conflicting, ledger, 5, 5)}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := typical(t)
			test.do(b)
			report := b.verify(func(o *Options) {
				if test.options != nil {
					test.options(o, b)
				}
			})
			NewWithT(t).Expect(report.Findings).To(ConsistOf(toAny(test.want)...))
		})
	}
}

// strangers is a book of the same trail, by somebody who has no key of the operator.
func strangers(b *book) *book {
	s := &book{t: b.t, uid: b.uid, key: seeded(9), head: Genesis(b.uid), last: Genesis(b.uid).Hash, heads: []Head{Genesis(b.uid)}}
	s.keys = []Announcement{Announce(s.key.Public())}
	s.entry(KindGenesis)
	s.write(30)
	s.entry(KindCheckpoint)
	return s
}

func toAny(matchers []OmegaMatcher) []any {
	list := make([]any, len(matchers))
	for i := range matchers {
		list[i] = matchers[i]
	}
	return list
}

// TestVerifyTellsTrailsApart: a trail that was made again under the same name has the same streams and another genesis.
func TestVerifyTellsTrailsApart(t *testing.T) {
	g := NewWithT(t)
	before, after := typical(t), newBook(t, "uid-2")
	after.write(5)
	after.entry(KindCheckpoint)
	both := *before
	both.records, both.entries = append(both.records, after.records...), append(both.entries, after.entries...)
	report := both.verify()
	g.Expect(report.Findings).To(BeEmpty())
	g.Expect(report.OtherTrails).To(Equal(map[string]int64{"uid-2": 7}))
	both.uid = "uid-2"
	report = both.verify()
	g.Expect(report.Findings).To(BeEmpty())
	g.Expect(report.Records).To(BeEquivalentTo(5))
	g.Expect(report.OtherTrails).To(Equal(map[string]int64{"uid-1": 27 + 5}))
}

// TestVerifyAPart: CloudWatch Logs deletes what is older than the group's retention.
func TestVerifyAPart(t *testing.T) {
	g := NewWithT(t)
	b := typical(t)
	b.records, b.entries = b.records[8:], b.entries[1:]
	partial := func(o *Options) { o.Partial, o.Keys = true, []PublicKey{seeded(4).Public()} }
	g.Expect(b.verify(partial).Findings).To(BeEmpty())
	b.records = b.records[3:] // From 12 on; the first entry that is there vouches for 10.
	g.Expect(b.verify(partial).Findings).To(ConsistOf(finding(Missing, false, 11, 11)))
}

// TestVerifyKnowsWhatTheStatusSaysWasRefused: until an entry tells of refused records, only the trail's status does.
func TestVerifyKnowsWhatTheStatusSaysWasRefused(t *testing.T) {
	g := NewWithT(t)
	b := typical(t)
	told := Gap{First: 13, Last: 13, PreviousHash: b.heads[12].Hash, Hash: b.heads[13].Hash, Reason: "RecordRejected"}
	untold := Gap{First: 30, Last: 30, PreviousHash: b.heads[29].Hash, Hash: b.heads[30].Hash, Reason: "TooOld"}
	b.records, b.entries = b.records[:len(b.records)-1], b.entries[:4]
	tip := func(o *Options) { o.Tip = &b.heads[30] }
	g.Expect(b.verify(tip).Findings).To(ConsistOf(finding(Truncated, false, 30, 30)))
	report := b.verify(tip, func(o *Options) { o.Refused = []Gap{told, untold} })
	g.Expect(report.Findings).To(BeEmpty())
	g.Expect(report.Rejected).To(BeEquivalentTo(4), "an entry told of one already")
	untold.PreviousHash = b.heads[7].Hash
	g.Expect(b.verify(tip, func(o *Options) { o.Refused = []Gap{untold} }).Findings).To(ConsistOf(finding(Contradicted, false, 29, 29)))
}

func TestVerifyBoundsItsMemory(t *testing.T) {
	g := NewWithT(t)
	b := newBook(t, "uid-1")
	b.write(1)
	var c cover
	for n := range int64(maxSpans) {
		_, err := c.add(span{lo: 2 * n, hi: 2*n + 1})
		g.Expect(err).NotTo(HaveOccurred())
	}
	_, err := c.add(span{lo: 4 * maxSpans, hi: 4*maxSpans + 1})
	g.Expect(err).To(MatchError(errScattered))
	_, err = c.add(span{lo: 1, hi: 2})
	g.Expect(err).NotTo(HaveOccurred(), "what fills a hole frees memory")

	var r recent
	for n := range int64(memory + 10) {
		r.note(n, digest{1})
	}
	g.Expect(r.hashes).To(HaveLen(memory))
	_, oldest := r.lookup(9)
	_, kept := r.lookup(10)
	g.Expect([]bool{oldest, kept}).To(Equal([]bool{false, true}))

	var report Report
	for n := range int64(2 * maxFindings) {
		report.found(Missing, false, n, n, "missing")
		report.other(fmt.Sprint(n))
	}
	g.Expect(report.Findings).To(HaveLen(maxFindings))
	g.Expect(report.Omitted).To(Equal(maxFindings))
	g.Expect(report.OtherTrails).To(HaveLen(maxTrails + 1))
}

func TestVerifyFailsWhenReadingDoes(t *testing.T) {
	g := NewWithT(t)
	broken := errors.New("connection reset")
	fails := func(yield func([]byte, error) bool) { yield(nil, broken) }
	_, err := Verify(fails, all(nil), Options{TrailUID: "u"})
	g.Expect(err).To(MatchError(broken))
	_, err = Verify(all(nil), fails, Options{TrailUID: "u"})
	g.Expect(err).To(MatchError(broken))
	_, err = Verify(all(nil), all(nil), Options{TrailUID: "u", Tip: &Head{Sequence: 3, Hash: "x"}})
	g.Expect(err).To(HaveOccurred())
}

// TestTheExampleIsTrue: readers check docs/ledger.md with their own tools.
func TestTheExampleIsTrue(t *testing.T) {
	g := NewWithT(t)
	b := newBook(t, "8f0f6b1c-6f0e-4a52-9d38-8a0f4d3b7c11")
	b.write(3)
	b.entry(KindCheckpoint)
	page, err := os.ReadFile("../../docs/ledger.md")
	g.Expect(err).NotTo(HaveOccurred())
	for _, line := range []string{
		string(b.records[0]), string(b.entries[0]), string(b.entries[1]), b.key.Public().String(),
	} {
		g.Expect(string(page)).To(ContainSubstring(line + "\n"))
	}
}
