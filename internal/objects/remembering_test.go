package objects

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// counted is a memory of what is asked of it, of an object with a past, and how often that was asked for.
type counted struct {
	*remembering
	clock       *clocktesting.FakePassiveClock
	asked       int
	lasted, ago time.Duration
}

func remember(past func(revision uint64) (Sight, uint64, error)) *counted {
	c := &counted{clock: clocktesting.NewFakePassiveClock(began)}
	c.remembering = &remembering{
		Reader: &fakeReader{past: func(revision uint64) (Sight, uint64, error) {
			c.asked++
			return past(revision)
		}},
		clock: c.clock, silence: func() (lasted, ago time.Duration) { return c.lasted, c.ago },
	}
	return c
}

// fakeReader shows what an object was.
type fakeReader struct {
	Reader
	past func(revision uint64) (Sight, uint64, error)
}

func (f *fakeReader) At(_ context.Context, _ *v1alpha1.ResourceReference, revision uint64) (Sight, uint64, error) {
	return f.past(revision)
}

func theObject() *v1alpha1.ResourceReference {
	return &v1alpha1.ResourceReference{Version: "v1", Resource: "configmaps", Name: "web", UID: "u1"}
}

// with is the object with a value.
func with(value string) Sight {
	return Sight{Exists: true, Meta: Meta{UID: "u1"}, Body: []byte(value)}
}

// until has the object be there until it is removed.
func until(removed uint64) func(revision uint64) (Sight, uint64, error) {
	return func(revision uint64) (Sight, uint64, error) {
		if revision == 0 {
			revision = removed + 1000
		}
		if revision >= removed {
			return Sight{}, revision, nil
		}
		return with("1"), revision, nil
	}
}

func TestWhatAnObjectWasIsAskedForOnce(t *testing.T) {
	g := NewWithT(t)
	c := remember(until(20))
	other := theObject()
	other.Name = "other"
	for range 3 {
		for _, revision := range []uint64{7, 8, 9, 20} {
			seen, shown, err := c.At(t.Context(), theObject(), revision)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(shown).To(Equal(revision))
			g.Expect(seen.Exists).To(Equal(revision != 20))
		}
	}
	g.Expect(c.asked).To(Equal(4))
	_, _, err := c.At(t.Context(), other, 7)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.asked).To(Equal(5), "that is another object")
	for range 2 {
		_, shown, err := c.At(t.Context(), theObject(), 0)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(shown).To(BeNumerically(">", 20))
	}
	g.Expect(c.asked).To(Equal(7), "what it is now is asked for each time")
}

func TestAFailureIsNotRemembered(t *testing.T) {
	g := NewWithT(t)
	failure := errors.New("compacted")
	c := remember(func(revision uint64) (Sight, uint64, error) { return with("1"), revision, failure })
	_, _, err := c.At(t.Context(), theObject(), 8)
	g.Expect(err).To(MatchError(failure))
	failure = nil
	seen, _, err := c.At(t.Context(), theObject(), 8)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(seen.Exists).To(BeTrue())
}

// TestASilenceForgetsWhatObjectsWere: etcd may be another one after it.
func TestASilenceForgetsWhatObjectsWere(t *testing.T) {
	g := NewWithT(t)
	was := with("1")
	c := remember(func(revision uint64) (Sight, uint64, error) { return was, revision, nil })
	look := func() string {
		seen, _, err := c.At(t.Context(), theObject(), 8)
		g.Expect(err).NotTo(HaveOccurred())
		return string(seen.Body)
	}
	before := look()
	was = with("2")
	g.Expect(look()).To(Equal(before))
	c.lasted, c.ago = 5*time.Second, 0
	now := look()
	g.Expect(now).NotTo(Equal(before), "what was read before it may be wrong")
	was = with("3")
	g.Expect(look()).NotTo(Equal(now), "nothing is remembered while it lasts")
	was = with("4")
	c.clock.SetTime(began.Add(10 * time.Second))
	c.lasted, c.ago = 6*time.Second, 9*time.Second
	after := look()
	g.Expect(after).To(Equal(string(was.Body)))
	was = with("5")
	c.clock.SetTime(began.Add(11 * time.Second))
	c.ago = 10 * time.Second
	g.Expect(look()).To(Equal(after), "that was the same silence")
	c.lasted, c.ago = 2*time.Second, time.Second
	g.Expect(look()).NotTo(Equal(after), "that was another one")
}

// TestWhatWasReadBeforeASilenceIsNotRememberedAfterIt, if it was answered then.
func TestWhatWasReadBeforeASilenceIsNotRememberedAfterIt(t *testing.T) {
	g := NewWithT(t)
	var c *counted
	nested := false
	c = remember(func(revision uint64) (Sight, uint64, error) {
		if !nested {
			nested = true
			c.lasted, c.ago = 5*time.Second, time.Second
			_, _, err := c.At(t.Context(), theObject(), 9)
			g.Expect(err).NotTo(HaveOccurred())
		}
		return with("1"), revision, nil
	})
	for range 2 {
		_, _, err := c.At(t.Context(), theObject(), 8)
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(c.asked).To(Equal(3))
}

// TestAnotherTrailsEndFailsNobody: whoever waits for what another one asks for asks itself when that one gave up.
func TestAnotherTrailsEndFailsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		ending, end := context.WithCancel(t.Context())
		c := remember(until(20))
		c.Reader = &endingReader{Reader: c.Reader}
		var group sync.WaitGroup
		group.Go(func() {
			_, _, err := c.At(ending, theObject(), 8)
			g.Expect(err).To(MatchError(context.Canceled))
		})
		synctest.Wait()
		group.Go(func() {
			seen, _, err := c.At(t.Context(), theObject(), 8)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(seen.Exists).To(BeTrue())
		})
		synctest.Wait()
		g.Expect(c.asked).To(BeZero(), "both wait for the first one's answer")
		end()
		group.Wait()
	})
}

// endingReader answers whoever asks first only when they give up.
type endingReader struct {
	Reader
	once sync.Once
}

func (r *endingReader) At(ctx context.Context, ref *v1alpha1.ResourceReference, revision uint64) (Sight, uint64, error) {
	r.once.Do(func() { <-ctx.Done() })
	if err := ctx.Err(); err != nil {
		return Sight{}, 0, err
	}
	return r.Reader.At(ctx, ref, revision)
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	g := NewWithT(t)
	c := remember(until(1 << 40))
	for revision := range uint64(4 * maxBygones / bygoneSize) {
		_, _, _ = c.At(t.Context(), theObject(), revision+1)
	}
	g.Expect(len(c.young) + len(c.older)).To(And(BeNumerically("<=", maxBygones/bygoneSize+2), BeNumerically(">", maxBygones/bygoneSize/4)))
	asked := c.asked
	_, _, _ = c.At(t.Context(), theObject(), 1)
	g.Expect(c.asked).To(Equal(asked+1), "it was forgotten")
}
