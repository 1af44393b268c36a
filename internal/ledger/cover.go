package ledger

import (
	"cmp"
	"encoding/hex"
	"errors"
	"slices"
)

// digest is a hash in half the memory of its text.
type digest [32]byte

func parseDigest(text string) (digest, error) {
	var d digest
	if len(text) != hex.EncodedLen(len(d)) {
		return d, errors.New("a hash has 64 hexadecimal digits")
	}
	_, err := hex.Decode(d[:], []byte(text))
	return d, err
}

// voucher is who says which hash a chain has somewhere.
type voucher int8

const (
	byRecord voucher = iota
	byEntry
	byGap
	byGenesis
	byStatus
)

// span is an unbroken part of a chain: the links after lo up to hi, which are numbers of links. An empty one, where both are
// equal, only says which hash the chain has there.
type span struct {
	lo, hi         int64
	loHash, hiHash digest
	loBy, hiBy     voucher
	// seen says that a link of it was seen itself, and not only vouched for.
	seen bool
}

// clash is a place where two do not agree on the hash after a link.
type clash struct {
	at            int64
	before, after voucher
}

// cover is what is known of a chain, whatever the order in which its links come: the spans that touch are joined, so that a
// whole chain is one span. It takes as much memory as the chain has holes at a time.
type cover struct {
	spans []*span // in order, and apart
}

var (
	// errCovered says that there is a span already where another was to be added.
	errCovered = errors.New("it is known already")
	// errScattered says that the chain has too many holes to go on.
	errScattered = errors.New("there are too many holes")
)

// maxSpans bounds the memory of a cover to about 16 MiB. Ten years of hourly checkpoints are 87,600.
const maxSpans = 1 << 17

// add joins a span to those that it touches, and returns where they do not fit.
func (c *cover) add(s span) ([]clash, error) {
	// The first span that ends at or after the beginning of s.
	i, _ := slices.BinarySearchFunc(c.spans, s.lo, func(known *span, lo int64) int { return cmp.Compare(known.hi, lo) })
	left := i < len(c.spans) && c.spans[i].hi == s.lo
	next := i
	if left {
		next++
	}
	if next < len(c.spans) && overlaps(c.spans[next], &s) {
		return nil, errCovered
	}
	right := next < len(c.spans) && c.spans[next].lo == s.hi
	var clashes []clash
	if left {
		before := c.spans[i]
		if before.hiHash != s.loHash {
			clashes = append(clashes, clash{s.lo, before.hiBy, s.loBy})
		}
		s.lo, s.loHash, s.loBy, s.seen = before.lo, before.loHash, before.loBy, s.seen || before.seen
	}
	if right {
		after := c.spans[next]
		if after.loHash != s.hiHash {
			clashes = append(clashes, clash{s.hi, s.hiBy, after.loBy})
		}
		s.hi, s.hiHash, s.hiBy, s.seen = after.hi, after.hiHash, after.hiBy, s.seen || after.seen
		next++
	}
	if !left && !right && len(c.spans) >= maxSpans {
		return nil, errScattered
	}
	if left && !right {
		*c.spans[i] = s // The usual case, without moving anything.
		return clashes, nil
	}
	c.spans = slices.Replace(c.spans, i, next, &s)
	return clashes, nil
}

// overlaps says whether known, which ends after s begins, has a link of s, or has the place of an empty s inside.
func overlaps(known, s *span) bool {
	if s.lo == s.hi {
		return known.lo < s.lo
	}
	return known.lo < s.hi
}

// recent remembers the hashes of the links that came last, to compare repeated ones.
type recent struct {
	hashes map[int64]digest
	order  []int64
	next   int
}

// memory is how many links are remembered, in about 24 MiB.
const memory = 1 << 18

func (r *recent) lookup(number int64) (digest, bool) {
	hash, ok := r.hashes[number]
	return hash, ok
}

func (r *recent) note(number int64, hash digest) {
	if r.hashes == nil {
		r.hashes = map[int64]digest{}
	}
	if len(r.order) < memory {
		r.order = append(r.order, number)
	} else {
		delete(r.hashes, r.order[r.next])
		r.order[r.next] = number
		r.next = (r.next + 1) % memory
	}
	r.hashes[number] = hash
}
