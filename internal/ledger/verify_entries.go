package ledger

import "slices"

// maxWaiting bounds the entries that wait for their key to be announced.
const maxWaiting = 1024

// sealed is an entry and how it was delivered.
type sealed struct {
	Entry
	message []byte
}

// entry takes account of one delivered entry.
func (v *verification) entry(message []byte) {
	read, err := ReadEntry(message)
	if read.Trail.UID != "" && read.Trail.UID != v.options.TrailUID {
		v.report.other(read.Trail.UID)
		return
	}
	if err != nil {
		v.report.found(Unreadable, true, read.Number, read.Number, "%s", err)
		return
	}
	entry := sealed{read, message}
	v.keys.learn(entry.Keys)
	if _, known := v.keys.known[entry.KeyID]; !known && len(v.waiting) < maxWaiting {
		v.waiting = append(v.waiting, entry)
		return
	}
	v.take(entry)
}

// endOfEntries takes account of what waited, and looks at what the entries come to.
func (v *verification) endOfEntries() {
	for i := range v.waiting {
		v.take(v.waiting[i])
	}
	v.waiting = nil
	v.trust()
	for _, gap := range v.options.Refused {
		if !slices.Contains(v.refused, gap) { // An entry may have been written since the status was read.
			v.refuse(0, gap)
		}
	}
	spans := v.ledger.spans
	for i := 1; i < len(spans); i++ {
		if i == 1 && v.options.Partial && spans[0].hi == 0 {
			continue
		}
		damage := Missing
		if !anySeen(spans[i:]) {
			damage = Truncated
		}
		v.report.found(damage, true, spans[i-1].hi+1, spans[i].lo, "%s missing from the ledger", are("entry", "entries", spans[i-1].hi+1, spans[i].lo))
	}
	if v.report.Entries == 0 && v.ledger.spans[len(spans)-1].hi == 0 {
		v.report.found(Missing, true, 0, 0, "the ledger has no entry of the trail: whether records are cut off at the end cannot be told")
	}
}

// take checks an entry's signature and place, and uses what it says.
func (v *verification) take(entry sealed) {
	n := entry.Number
	key, known := v.keys.known[entry.KeyID]
	if known && !entry.signedBy(key) {
		v.report.found(Forged, true, n, n, "entry %d does not have the signature of its key", n)
		return
	}
	previous, err := parseDigest(entry.PreviousEntry)
	hash, _ := parseDigest(EntryHash(entry.message))
	if err != nil || n < 1 {
		v.report.found(Unreadable, true, n, n, "an entry has no number, or not the hash of the one before")
		return
	}
	if earlier, ok := v.recentEntries.lookup(n); ok {
		if earlier != hash {
			v.report.found(Conflicting, true, n, n, "entry %d is there twice, with different content", n)
			return
		}
		v.report.RepeatedEntries++
		return
	}
	clashes, err := v.ledger.add(span{lo: n - 1, hi: n, loHash: previous, hiHash: hash, seen: true})
	if err != nil {
		v.report.found(Unverified, true, n, n, "entry %d came so far out of order that it was not compared: %s", n, err)
		return
	}
	v.recentEntries.note(n, hash)
	for _, c := range clashes {
		v.report.found(Unlinked, true, c.at+1, c.at+1, "entry %d does not follow the one before: its previousEntry is another", c.at+1)
	}
	v.report.Entries++
	v.sign(&entry.Entry, known)
	v.vouch(&entry.Entry)
}

// sign notes whose entries there are. Nobody knows whose an entry is whose key was announced before what there is to read.
func (v *verification) sign(entry *Entry, known bool) {
	id := entry.KeyID
	if !known {
		id = ""
	}
	v.lastOf[id] = max(v.lastOf[id], entry.Number)
	if v.lowest.number == 0 || entry.Number < v.lowest.number {
		v.lowest.number, v.lowest.key = entry.Number, id
	}
}

// trust looks for entries of which nobody who is trusted says anything. A trusted key vouches for the entries before its own
// too, by the chain of entries.
func (v *verification) trust() {
	if len(v.options.Keys) == 0 && v.lowest.key != "" {
		v.keys.trustFirst(v.lowest.key)
	}
	var trusted, untrusted int64
	for key, last := range v.lastOf {
		if v.keys.trusted[key] {
			trusted = max(trusted, last)
		} else {
			untrusted = max(untrusted, last)
		}
	}
	if untrusted > trusted {
		v.report.found(Forged, true, trusted+1, untrusted, "%s signed by a key to which no trusted key leads",
			are("entry", "entries", trusted+1, untrusted))
	}
}

// vouch has the records be compared with what an entry says of them.
func (v *verification) vouch(entry *Entry) {
	if entry.Sequence >= v.report.Vouched {
		v.report.Vouched, v.report.VouchedAt = entry.Sequence, entry.Time
	}
	for _, gap := range entry.Gaps {
		v.refuse(entry.Number, gap)
	}
	hash, err := parseDigest(entry.Hash)
	if err != nil {
		v.report.found(Unreadable, true, entry.Number, entry.Number, "entry %d has no hash of the records", entry.Number)
		return
	}
	at := entry.Sequence
	v.add(entry.Number, span{lo: at, hi: at, loHash: hash, hiHash: hash, loBy: byEntry, hiBy: byEntry})
}

func (v *verification) refuse(number int64, gap Gap) {
	before, errBefore := parseDigest(gap.PreviousHash)
	hash, errHash := parseDigest(gap.Hash)
	if errBefore != nil || errHash != nil || gap.First < 1 || gap.Last < gap.First {
		v.report.found(Unreadable, true, number, number, "entry %d tells of refused records without their numbers or hashes", number)
		return
	}
	v.refused = append(v.refused, gap)
	v.report.Rejected += gap.Last - gap.First + 1
	v.add(number, span{lo: gap.First - 1, hi: gap.Last, loHash: before, hiHash: hash, loBy: byGap, hiBy: byGap})
}

func (v *verification) add(number int64, s span) {
	clashes, err := v.chain.add(s)
	if err != nil {
		v.report.found(Unverified, true, number, number, "what entry %d says of the records was not compared: %s", number, err)
	}
	for _, c := range clashes {
		v.clash(c)
	}
}
