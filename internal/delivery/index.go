package delivery

import (
	"math"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// runLength is how many versions are sorted together.
	runLength = 64 << 10
	// markEvery is after how many events of a list a name is noted.
	markEvery = 256
)

// index is the versions of the events of a backlog, of which the lowest is taken first. There may be millions, so each takes
// four bytes, and names are left to whoever reads the list again.
type index struct {
	runs []run
	// marks are places in the list, in its order.
	marks []mark
	count int
}

// run is versions, the lowest first, as what they are more than base.
type run struct {
	base uint64
	more []uint32
}

// mark is some neighbours in a list.
type mark struct {
	// last is the last of them.
	last types.NamespacedName
	// lowest and highest are their versions' bounds.
	lowest, highest uint64
	// least is the lowest version of them and of all that follow them in the list, once the index is sealed.
	least  uint64
	events int
}

// add notes the next event of the list.
func (x *index) add(name types.NamespacedName, version uint64) {
	last := len(x.runs) - 1
	if last < 0 || !x.runs[last].add(version) {
		if last >= 0 {
			slices.Sort(x.runs[last].more)
		}
		next := run{base: version - min(version, math.MaxInt32)}
		next.add(version)
		x.runs = append(x.runs, next)
	}
	x.count++
	if n := len(x.marks); n == 0 || x.marks[n-1].events == markEvery || x.marks[n-1].last.Namespace != name.Namespace {
		x.marks = append(x.marks, mark{lowest: version})
	}
	here := &x.marks[len(x.marks)-1]
	here.last, here.lowest, here.highest = name, min(here.lowest, version), max(here.highest, version)
	here.events++
}

// add notes a version, if the run has room for it and its base suits.
func (r *run) add(version uint64) bool {
	if version < r.base || version-r.base > math.MaxUint32 || len(r.more) == runLength {
		return false
	}
	r.more = append(r.more, uint32(version-r.base)) //nolint:gosec // It is no more than that.
	return true
}

// seal ends the list: nothing that is above upTo counts.
func (x *index) seal(upTo uint64) {
	x.count = 0
	for i := range x.runs {
		r := &x.runs[i]
		slices.Sort(r.more)
		end, _ := slices.BinarySearchFunc(r.more, upTo, func(more uint32, upTo uint64) int {
			if r.base+uint64(more) > upTo {
				return 1
			}
			return -1
		})
		r.more = r.more[:end]
		x.count += end
	}
	least := uint64(math.MaxUint64)
	for i := len(x.marks) - 1; i >= 0; i-- {
		least = min(least, x.marks[i].lowest)
		x.marks[i].least = least
	}
}

// first is the lowest version; ok is false when there is none.
func (x *index) first() (version uint64, ok bool) {
	version = math.MaxUint64
	for i := range x.runs {
		if more := x.runs[i].more; len(more) > 0 {
			version, ok = min(version, x.runs[i].base+uint64(more[0])), true
		}
	}
	return version, ok
}

// drop takes the lowest version out.
func (x *index) drop() {
	version, ok := x.first()
	for i := range x.runs {
		if r := &x.runs[i]; ok && len(r.more) > 0 && r.base+uint64(r.more[0]) == version {
			if r.more = r.more[1:]; len(r.more) == 0 {
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
	return len(x.marks) > 0 && x.marks[0].least <= version
}

// near is between which versions an event was recorded that has a name; ok is false when the list had none like it.
func (x *index) near(name types.NamespacedName) (lowest, highest uint64, ok bool) {
	for i := range x.marks {
		if m := &x.marks[i]; m.last.Namespace == name.Namespace && m.last.Name >= name.Name {
			return m.lowest, m.highest, true
		}
	}
	return 0, 0, false
}
