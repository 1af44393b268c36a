package delivery

import (
	"hash/maphash"
	"math"
	"slices"
	"sort"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// runLength is how many versions are sorted together.
	runLength = 64 << 10
	// markEvery is after how many events of a list a name is noted.
	markEvery = 256
)

// index is the versions of the events of a backlog, of which the lowest is taken first. There may be millions, so each takes
// eight bytes, and names are left to whoever reads the list again.
type index struct {
	seed maphash.Seed
	runs []run
	// marks are places in the list, in its order.
	marks []mark
	count int
}

// position is an event's version and a digest of its name.
type position struct {
	version uint64
	name    uint32
}

// run is places, the lowest first: above, what their versions are more than base, and below the names' digests.
type run struct {
	base   uint64
	places []uint64
}

func (r *run) version(i int) uint64 { return r.base + r.places[i]>>digestBits }

const digestBits = 32

// mark is some neighbours in a list.
type mark struct {
	// last is the last of them.
	last types.NamespacedName
	// lowest is the lowest version of them, and of all that follow them in the list once the index is sealed.
	lowest uint64
	events int
}

func newIndex() index { return index{seed: maphash.MakeSeed()} }

// digest is that of a name.
func (x *index) digest(name types.NamespacedName) uint32 {
	return uint32(maphash.Comparable(x.seed, name) >> digestBits)
}

// Add notes the next event of the list.
func (x *index) add(name types.NamespacedName, version uint64) {
	last := len(x.runs) - 1
	if digest := x.digest(name); last < 0 || !x.runs[last].add(version, digest) {
		if last >= 0 {
			slices.Sort(x.runs[last].places)
		}
		next := run{base: version - min(version, math.MaxInt32)}
		next.add(version, digest)
		x.runs = append(x.runs, next)
	}
	x.count++
	if n := len(x.marks); n == 0 || x.marks[n-1].events == markEvery || x.marks[n-1].last.Namespace != name.Namespace {
		x.marks = append(x.marks, mark{lowest: version})
	}
	here := &x.marks[len(x.marks)-1]
	here.last, here.lowest = name, min(here.lowest, version)
	here.events++
}

// Add notes a place, if the run has room for it and its base suits.
func (r *run) add(version uint64, digest uint32) bool {
	if version < r.base || version-r.base > math.MaxUint32 || len(r.places) == runLength {
		return false
	}
	r.places = append(r.places, (version-r.base)<<digestBits|uint64(digest))
	return true
}

// remove takes an event out before the list ends.
func (x *index) remove(version uint64) {
	for i := range x.runs {
		r := &x.runs[i]
		if at := slices.IndexFunc(r.places, func(place uint64) bool { return r.base+place>>digestBits == version }); at >= 0 {
			r.places = slices.Delete(r.places, at, at+1)
			x.count--
			return
		}
	}
}

// seal ends the list: nothing that is above upTo counts.
func (x *index) seal(upTo uint64) {
	x.count = 0
	for i := range x.runs {
		r := &x.runs[i]
		slices.Sort(r.places)
		end := sort.Search(len(r.places), func(i int) bool { return r.version(i) > upTo })
		r.places = r.places[:end]
		x.count += end
	}
	lowest := uint64(math.MaxUint64)
	for i := len(x.marks) - 1; i >= 0; i-- {
		lowest = min(lowest, x.marks[i].lowest)
		x.marks[i].lowest = lowest
	}
}

// first is the place with the lowest version; ok is false when there is none.
func (x *index) first() (first position, ok bool) {
	for i := range x.runs {
		if r := &x.runs[i]; len(r.places) > 0 && (!ok || r.version(0) < first.version) {
			first, ok = position{r.version(0), uint32(r.places[0])}, true //nolint:gosec // It is the digest that is left of it.
		}
	}
	return first, ok
}

// drop takes the place with the lowest version out.
func (x *index) drop() {
	first, ok := x.first()
	for i := range x.runs {
		if r := &x.runs[i]; ok && len(r.places) > 0 && r.version(0) == first.version {
			if r.places = r.places[1:]; len(r.places) == 0 {
				x.runs = slices.Delete(x.runs, i, i+1)
			}
			x.count--
			return
		}
	}
}

// follows says whether an event of a version may come in the list after those that were read again: passed says of an event
// whether it would have been among them.
func (x *index) follows(version uint64, passed func(types.NamespacedName) bool) bool {
	for len(x.marks) > 0 && passed(x.marks[0].last) {
		x.marks = x.marks[1:]
	}
	return len(x.marks) > 0 && x.marks[0].lowest <= version
}
