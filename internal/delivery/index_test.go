package delivery

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
)

func indexed(versions []uint64) *index {
	made := newIndex()
	x := &made
	for n, version := range versions {
		x.add(types.NamespacedName{Namespace: "shop", Name: eventName(n)}, version)
	}
	return x
}

func drained(x *index) (versions []uint64) {
	for {
		first, ok := x.first()
		if !ok {
			return versions
		}
		versions = append(versions, first.version)
		x.drop()
	}
}

// TestIndexIsInOrder: whatever order versions come in, and however far they are apart.
func TestIndexIsInOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	far := []uint64{5, math.MaxUint64 - 2, 1 << 40, 7, 1<<40 + math.MaxUint32, 1<<40 - 9, 1, 0, math.MaxUint32 + 1}
	many := make([]uint64, 2*runLength+17)
	for i := range many {
		many[i] = uint64(1_000_000 + i)
	}
	random.Shuffle(len(many), func(i, j int) { many[i], many[j] = many[j], many[i] })
	for name, versions := range map[string][]uint64{"none": nil, "far apart": far, "several runs": many} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			x := indexed(versions)
			x.seal(math.MaxUint64 - 2)
			g.Expect(x.count).To(Equal(len(versions)))
			want := slices.Sorted(slices.Values(versions))
			g.Expect(slices.Equal(drained(x), want)).To(BeTrue())
			g.Expect(x.count).To(BeZero())
		})
	}
}

func TestIndexEndsWhereItIsSealed(t *testing.T) {
	g := NewWithT(t)
	x := indexed([]uint64{9, 4, 12, 10, 11})
	x.seal(10)
	g.Expect(x.count).To(Equal(3))
	g.Expect(drained(x)).To(Equal([]uint64{4, 9, 10}))
}

// TestIndexKnowsWhatIsBehind: an event that was deleted is not looked for in all that follows it.
func TestIndexKnowsWhatIsBehind(t *testing.T) {
	g := NewWithT(t)
	versions := make([]uint64, 4*markEvery)
	for i := range versions {
		versions[i] = uint64(i + 1)
	}
	versions[3*markEvery] = 2 // One that was stored long before its name says.
	x := indexed(versions)
	x.seal(math.MaxUint64)
	upTo := func(n int) func(types.NamespacedName) bool {
		return func(name types.NamespacedName) bool { return name.Name <= eventName(n) }
	}
	g.Expect(x.follows(2, upTo(markEvery))).To(BeTrue(), "it may be the one in the last neighbours")
	g.Expect(x.follows(1, upTo(markEvery))).To(BeFalse())
	g.Expect(x.follows(2, upTo(4*markEvery))).To(BeFalse())
}

// TestIndexKnowsNames: well enough to tell the events of a backlog apart.
func TestIndexKnowsNames(t *testing.T) {
	g := NewWithT(t)
	x := indexed([]uint64{2, 1})
	x.seal(2)
	first, _ := x.first()
	g.Expect(first.name).To(Equal(x.digest(types.NamespacedName{Namespace: "shop", Name: eventName(1)})))
	g.Expect(first.name).NotTo(Equal(x.digest(types.NamespacedName{Namespace: "shop", Name: eventName(0)})))
}
