package ledger

import (
	"fmt"
	"iter"
	"slices"
)

// Options say what a ledger is verified against.
type Options struct {
	// TrailUID is the trail whose records are verified. What is of others is only counted.
	TrailUID string
	// Keys are public keys of the operator that the caller knows from elsewhere, such as the trail's status. Without any, the
	// key that announces itself first is taken.
	Keys []PublicKey
	// Tip, if set, is how far the trail's status says that records were delivered.
	Tip *Head
	// LedgerTip, if set, is the last entry by the trail's status.
	LedgerTip *Head
	// Refused are the records that the trail's status says were refused, and of which no entry may tell yet.
	Refused []Gap
	// Partial says that the beginning is not there, because the destination keeps records for a limited time: what comes before
	// the first entry and record is not missed.
	Partial bool
}

// Verify reads a trail's ledger, and then its records, each in any order, and reports what is wrong with them. The memory
// that it takes depends on the disorder and not on the number of records. It fails only when reading does.
//
// Read both to their ends as they are now: since the ledger is read first, records may be ahead of it, never behind.
func Verify(entries, records iter.Seq2[[]byte, error], options Options) (*Report, error) {
	v := &verification{options: options, report: &Report{}, lastOf: map[string]int64{}}
	v.keys = newKeyring(options.Keys)
	v.report.Anchored = len(options.Keys) > 0
	if err := v.anchor(); err != nil {
		return nil, err
	}
	for message, err := range entries {
		if err != nil {
			return nil, fmt.Errorf("reading the ledger's entries: %w", err)
		}
		v.entry(message)
	}
	v.endOfEntries()
	for message, err := range records {
		if err != nil {
			return nil, fmt.Errorf("reading the records: %w", err)
		}
		v.record(message)
	}
	v.endOfRecords()
	return v.report, nil
}

// verification is the state of Verify.
type verification struct {
	options Options
	report  *Report
	keys    *keyring
	// ledger is the chain of entries, and chain that of records.
	ledger, chain             cover
	recentEntries, recentOnes recent
	// refused are the records that are not expected.
	refused []Gap
	// waiting are entries whose key is not known yet.
	waiting []sealed
	// lastOf is the last entry of each key, and lowest the key of the entry with the lowest number.
	lastOf map[string]int64
	lowest struct {
		number int64
		key    string
	}
}

// anchor begins both chains with what is known beforehand.
func (v *verification) anchor() error {
	genesis, err := parseDigest(Genesis(v.options.TrailUID).Hash)
	if err != nil {
		return err
	}
	for _, c := range []*cover{&v.ledger, &v.chain} {
		c.spans = []*span{{loHash: genesis, hiHash: genesis, loBy: byGenesis, hiBy: byGenesis}}
	}
	for _, tip := range []struct {
		head *Head
		of   *cover
	}{{v.options.Tip, &v.chain}, {v.options.LedgerTip, &v.ledger}} {
		if tip.head == nil || tip.head.Sequence == 0 {
			continue
		}
		hash, err := parseDigest(tip.head.Hash)
		if err != nil {
			return fmt.Errorf("reading the tip %d: %w", tip.head.Sequence, err)
		}
		at := tip.head.Sequence
		tip.of.spans = append(tip.of.spans, &span{lo: at, hi: at, loHash: hash, hiHash: hash, loBy: byStatus, hiBy: byStatus})
	}
	return nil
}

// record takes account of one delivered record.
func (v *verification) record(message []byte) {
	link, err := ReadLink(message)
	if link.Trail != "" && link.Trail != v.options.TrailUID {
		v.report.other(link.Trail)
		return
	}
	if err != nil {
		damage := Unreadable
		if link.Sequence > 0 {
			damage = Changed
		}
		v.report.found(damage, false, link.Sequence, link.Sequence, "%s", err)
	}
	previous, errPrevious := parseDigest(link.PreviousHash)
	hash, errHash := parseDigest(link.Hash)
	if link.Sequence < 1 || errPrevious != nil || errHash != nil {
		if err == nil {
			v.report.found(Unreadable, false, link.Sequence, link.Sequence, "a record has no sequence number, or no hashes")
		}
		return
	}
	n := link.Sequence
	if known, ok := v.recentOnes.lookup(n); ok {
		v.again(n, known == hash)
		return
	}
	clashes, err := v.chain.add(span{lo: n - 1, hi: n, loHash: previous, hiHash: hash, seen: true})
	switch {
	case err == nil:
		v.recentOnes.note(n, hash)
		v.report.Records++
		if n < v.report.Last {
			v.report.OutOfOrder++
		}
		v.report.Last = max(v.report.Last, n)
	case v.isRefused(n):
		v.report.found(Unexpected, false, n, n, "record %d is there, although the ledger says that it was refused", n)
	default:
		v.report.found(Unverified, false, n, n, "record %d came again after so many others, or so far out of order, that it was not compared: %s", n, err)
	}
	for _, c := range clashes {
		v.clash(c)
	}
}

func (v *verification) isRefused(n int64) bool {
	return slices.ContainsFunc(v.refused, func(gap Gap) bool { return gap.First <= n && n <= gap.Last })
}

// again takes account of a record that came before.
func (v *verification) again(n int64, same bool) {
	if same {
		v.report.Repeated++
		return
	}
	v.report.found(Conflicting, false, n, n, "record %d is there twice, with different content", n)
}

// clash says what it means that two do not agree.
func (v *verification) clash(c clash) {
	switch {
	case c.before == byRecord && c.after == byRecord:
		v.report.found(Unlinked, false, c.at+1, c.at+1, "record %d does not follow record %d: its previousHash is another", c.at+1, c.at)
	case c.after == byRecord && c.at == 0:
		v.report.found(Unlinked, false, 1, 1, "record 1 does not begin this trail's chain: its previousHash is another")
	case c.before == byRecord:
		v.report.found(Contradicted, false, c.at, c.at, "record %d is not the one of which %s speaks", c.at, c.after)
	case c.after == byRecord:
		v.report.found(Contradicted, false, c.at+1, c.at+1, "record %d does not follow the record %d of which %s speaks", c.at+1, c.at, c.before)
	default:
		v.report.found(Contradicted, false, c.at, c.at, "%s and %s speak of different records %d", c.before, c.after, c.at)
	}
}

// String names who says it.
func (b voucher) String() string {
	return [...]string{"another record", "a signed entry", "a signed entry that tells of refused records", "the trail's genesis", "the trail's status"}[b]
}

// endOfRecords looks for what is missing. An entry inside a hole does not make two of it.
func (v *verification) endOfRecords() {
	spans := v.chain.spans
	end := spans[len(spans)-1]
	first := spans[0].hi + 1
	for i := 1; i < len(spans); i++ {
		s := spans[i]
		if s.loBy != byRecord && !anySeen(spans[i:]) {
			v.report.found(Truncated, false, first, end.hi, "%s cut off at the end: %s vouches for more",
				are("record", "records", first, end.hi), end.hiBy)
			return
		}
		switch {
		case i == 1 && v.options.Partial && spans[0].hi == 0:
		case s.lo == s.hi:
			continue
		default:
			v.report.found(Missing, false, first, s.lo, "%s missing", are("record", "records", first, s.lo))
		}
		first = s.hi + 1
	}
}

func anySeen(spans []*span) bool {
	for _, s := range spans {
		if s.seen {
			return true
		}
	}
	return false
}
