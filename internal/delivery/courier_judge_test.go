package delivery

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/pause"
)

// TestADeletionInTheNextWindowProvesACreation: the object is gone, and what tells of it comes later in the backlog.
func TestADeletionInTheNextWindowProvesACreation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		c := b.courier(t)
		c.box.lose()
		b.api.pageSize = 500
		past := time.Now().Add(-time.Minute)
		for n := range window + 1 {
			event := newEvent(b.trail, eventName(n), past)
			switch n {
			case 7:
				about(event, v1alpha1.ActionCreate, "never-made", "")
			case window - 1:
				about(event, v1alpha1.ActionCreate, "made", "")
			case window:
				about(event, v1alpha1.ActionDelete, "made", "77")
			}
			b.api.store(event, uint64(n+1))
		}
		stop := b.start(t, c)
		pause.For(t.Context(), time.Minute)
		stop()
		links := b.links(t)
		g.Expect(links).To(HaveLen(window + 1))
		g.Expect(links[window-1].Outcome).To(BeEquivalentTo(v1alpha1.OutcomePersisted))
		g.Expect(links[7].Outcome).To(BeEquivalentTo(v1alpha1.OutcomeNotPersisted))
		g.Expect(b.trails.patched).To(Equal(2), "only what did not stick is written to its event, and once more to move the feed")
	})
}

// TestTheDeletionMayComeASecondLater: its event was recorded before the object went, and read after.
func TestTheDeletionMayComeASecondLater(t *testing.T) {
	for name, late := range map[string]bool{"it comes": true, "the inbox had no room for it": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				b := newBench(t, newTrail("shop", "security"))
				c := b.courier(t)
				past := time.Now().Add(-time.Minute)
				b.offer(t, c, 1, about(newEvent(b.trail, eventName(0), past), v1alpha1.ActionCreate, "made", ""))
				stop := b.start(t, c)
				synctest.Wait() // It looks a second time.
				deletion := about(newEvent(b.trail, eventName(1), past), v1alpha1.ActionDelete, "made", "77")
				b.api.store(deletion, 2)
				if !late {
					c.box.behind = true
				}
				b.offer(t, c, 2, deletion)
				pause.For(t.Context(), time.Minute)
				stop()
				want := v1alpha1.OutcomePersisted
				if !late {
					want = v1alpha1.OutcomeUnknown
				}
				g.Expect(b.links(t)[0].Outcome).To(BeEquivalentTo(want))
			})
		})
	}
}

// TestTheFeedIsAwaited as far as the API server had come when the object was read.
func TestTheFeedIsAwaited(t *testing.T) {
	for name, test := range map[string]struct {
		late, patience time.Duration
		want           v1alpha1.Outcome
	}{
		"nobody records anything": {0, 3 * time.Second, v1alpha1.OutcomeNotPersisted},
		"it is late":              {feedPatience - time.Second, feedPatience + time.Second, v1alpha1.OutcomePersisted},
		"it is late for too long": {time.Hour, feedPatience + 3*time.Second, v1alpha1.OutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				b := newBench(t, newTrail("shop", "security"))
				c := b.courier(t)
				if test.late > 0 {
					b.trails.onPatch = b.api.write
				}
				past := time.Now().Add(-time.Minute)
				b.offer(t, c, 1, about(newEvent(b.trail, eventName(0), past), v1alpha1.ActionCreate, "made", ""))
				b.api.write()
				b.api.write() // Of something else.
				stop := b.start(t, c)
				defer stop()
				if test.late == time.Hour {
					pause.For(t.Context(), test.patience)
				} else if test.late > 0 {
					pause.For(t.Context(), test.late)
					g.Expect(b.links(t)).To(BeEmpty())
					b.offer(t, c, 2, about(newEvent(b.trail, eventName(1), past), v1alpha1.ActionDelete, "made", "77"))
					b.feed.give(t.Context(), b.api.write(), nil)
				}
				pause.For(t.Context(), test.patience-test.late)
				g.Expect(b.links(t)).NotTo(BeEmpty())
				g.Expect(b.links(t)[0].Outcome).To(BeEquivalentTo(test.want))
			})
		})
	}
}

// slowOthers are webhooks that may take so long.
type slowOthers time.Duration

func (slowOthers) Refresh(context.Context) error { return nil }

func (o slowOthers) Longest(*v1alpha1.ResourceReference, v1alpha1.Action) time.Duration {
	return time.Duration(o)
}

// TestOtherWebhooksAreAwaited: until their time is up, what seems refused may still be made.
func TestOtherWebhooksAreAwaited(t *testing.T) {
	for name, test := range map[string]struct {
		longest, made time.Duration
		want          v1alpha1.Outcome
	}{
		"there are none":     {0, time.Hour, v1alpha1.OutcomeNotPersisted},
		"it was refused":     {10 * time.Second, time.Hour, v1alpha1.OutcomeNotPersisted},
		"it was kept":        {10 * time.Second, 9 * time.Second, v1alpha1.OutcomePersisted},
		"as long as can be":  {30 * time.Second, 29 * time.Second, v1alpha1.OutcomePersisted},
		"made while waiting": {10 * time.Second, 5 * time.Second, v1alpha1.OutcomePersisted},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				b := newBench(t, newTrail("shop", "security"))
				b.OtherWebhooks = slowOthers(test.longest)
				c := b.courier(t)
				b.offer(t, c, 1, about(newEvent(b.trail, eventName(0), time.Now()), v1alpha1.ActionCreate, "made", ""))
				b.start(t, c)
				began := time.Now()
				if test.made < time.Hour {
					pause.For(t.Context(), test.made)
					g.Expect(b.links(t)).To(BeEmpty())
					b.offer(t, c, 2, about(newEvent(b.trail, eventName(1), time.Now()), v1alpha1.ActionDelete, "made", "77"))
				}
				for len(b.links(t)) == 0 {
					pause.For(t.Context(), 100*time.Millisecond)
				}
				g.Expect(b.links(t)[0].Outcome).To(BeEquivalentTo(test.want))
				g.Expect(time.Since(began)).To(And(BeNumerically(">=", test.longest), BeNumerically("<", test.longest+5*time.Second)))
			})
		})
	}
}

// TestWhatSeemsMadeIsNotAwaitedForLong: where nobody records anything, nothing is written for it; where the feed moves, it is late.
func TestWhatSeemsMadeIsNotAwaitedForLong(t *testing.T) {
	for name, moves := range map[string]int{"nobody records anything": 0, "the feed moves": 10} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				b := newBench(t, newTrail("shop", "security"))
				c := b.courier(t)
				past := time.Now().Add(-time.Minute)
				b.offer(t, c, 1, about(newEvent(b.trail, eventName(0), past), v1alpha1.ActionDelete, "gone", "77"))
				b.api.version = 1000
				stop := b.start(t, c)
				defer stop()
				for n := range moves {
					pause.For(t.Context(), 500*time.Millisecond)
					b.feed.give(t.Context(), uint64(n+2), nil)
					g.Expect(b.links(t)).To(BeEmpty())
				}
				pause.For(t.Context(), 3*time.Second)
				g.Expect(b.links(t)).To(HaveLen(1))
				g.Expect(b.links(t)[0].Outcome).To(BeEquivalentTo(v1alpha1.OutcomePersisted))
				g.Expect(b.trails.patched).To(BeZero())
			})
		})
	}
}

// TestOnlySoManyEventsAreToMoveTheFeed: a namespace that is deleted takes them all.
func TestOnlySoManyEventsAreToMoveTheFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		b.trails.patchErr = apierrors.NewNotFound(trailsResource, "gone")
		c := b.courier(t)
		past := time.Now().Add(-time.Minute)
		const count = 3 * feedMoves
		for n := range count {
			b.offer(t, c, uint64(n+1), about(newEvent(b.trail, eventName(n), past), v1alpha1.ActionCreate, eventName(n), ""))
		}
		b.api.version = 1000
		stop := b.start(t, c)
		pause.For(t.Context(), time.Minute)
		stop()
		g.Expect(b.links(t)).To(HaveLen(count))
		g.Expect(b.trails.patched).To(Equal(feedMoves+count), "each event's outcome is written as well")
	})
}

// TestWhatTheFeedDidNotSeeIsRead before what it may tell of is judged.
func TestWhatTheFeedDidNotSeeIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		c := b.courier(t)
		past := time.Now().Add(-time.Minute)
		creation := about(newEvent(b.trail, eventName(0), past), v1alpha1.ActionCreate, "made", "")
		b.api.store(creation, 1)
		b.offer(t, c, 1, creation)
		stop := b.start(t, c)
		synctest.Wait() // It looks a second time.
		b.api.store(about(newEvent(b.trail, eventName(1), past), v1alpha1.ActionDelete, "made", "77"), 2)
		c.box.lose()
		pause.For(t.Context(), time.Minute)
		stop()
		links := b.links(t)
		g.Expect(links).To(HaveLen(2))
		g.Expect(links[0].Outcome).To(BeEquivalentTo(v1alpha1.OutcomePersisted))
	})
}

// TestWhatWaitsInFilesIsAwaited before anything is judged, when the API server stored nothing for a while: it may tell of a deletion.
func TestWhatWaitsInFilesIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		written := time.Now().Add(30 * time.Second)
		b.Silence = func() (lasted, ago time.Duration) {
			const lasts = time.Minute
			if left := time.Until(written); left > 0 {
				return lasts - left, 0
			}
			return lasts, time.Since(written)
		}
		c := b.courier(t)
		past := time.Now().Add(-time.Minute)
		b.offer(t, c, 1, about(newEvent(b.trail, eventName(0), past), v1alpha1.ActionCreate, "made", ""))
		stop := b.start(t, c)
		pause.For(t.Context(), time.Until(written)+20*time.Second)
		g.Expect(b.links(t)).To(BeEmpty())
		b.offer(t, c, 2, about(newEvent(b.trail, eventName(1), past), v1alpha1.ActionDelete, "made", "77"))
		pause.For(t.Context(), time.Minute)
		stop()
		links := b.links(t)
		g.Expect(links).To(HaveLen(2))
		g.Expect(links[0].Outcome).To(BeEquivalentTo(v1alpha1.OutcomePersisted))
	})
}

// TestALateRivalTells: what is judged long after it was admitted is judged again like anything else, since somebody may have done
// the same since, before the object was looked at.
func TestALateRivalTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		c := b.courier(t)
		past := time.Now().Add(-2 * time.Minute)
		b.offer(t, c, 1, about(newEvent(b.trail, eventName(0), past), v1alpha1.ActionDelete, "u1", "77"))
		stop := b.start(t, c)
		synctest.Wait() // It looks a second time.
		b.offer(t, c, 2, about(newEvent(b.trail, eventName(1), past.Add(time.Minute)), v1alpha1.ActionDelete, "u1", "77"))
		pause.For(t.Context(), time.Minute)
		stop()
		links := b.links(t)
		g.Expect(links).To(HaveLen(2))
		g.Expect(links[0].Outcome).To(BeEquivalentTo(v1alpha1.OutcomeNotPersisted))
		g.Expect(links[1].Outcome).To(BeEquivalentTo(v1alpha1.OutcomePersisted))
	})
}

// TestAnUpdateInTheNextWindowProvesAnUpdate: it shows what the object was like before it.
func TestAnUpdateInTheNextWindowProvesAnUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		c := b.courier(t)
		c.box.lose()
		b.api.pageSize = 500
		past := time.Now().Add(-time.Minute)
		for n := range window + 1 {
			event := newEvent(b.trail, eventName(n), past)
			switch n {
			case window - 1:
				about(event, v1alpha1.ActionUpdate, "u1", "5").Spec.Evidence = []v1alpha1.Evidence{{Path: "/data/a", Was: "1", Digest: "2"}}
			case window:
				about(event, v1alpha1.ActionUpdate, "u1", "6").Spec.Evidence = []v1alpha1.Evidence{{Path: "/data/a", Was: "2", Digest: "1"}}
			}
			b.api.store(event, uint64(n+1))
		}
		stop := b.start(t, c)
		pause.For(t.Context(), time.Minute)
		stop()
		links := b.links(t)
		g.Expect(links).To(HaveLen(window + 1))
		g.Expect(links[window-1].Outcome).To(BeEquivalentTo(v1alpha1.OutcomePersisted))
	})
}

// TestANewLeaderKnowsThePast: the first of two rivals is below the cursor, and was found made.
func TestANewLeaderKnowsThePast(t *testing.T) {
	for outcome, want := range map[v1alpha1.Outcome]v1alpha1.Outcome{
		"":                           v1alpha1.OutcomeNotPersisted,
		v1alpha1.OutcomeNotPersisted: v1alpha1.OutcomePersisted,
	} {
		synctest.Test(t, func(t *testing.T) {
			g := NewWithT(t)
			b := newBench(t, newTrail("shop", "security"))
			c := b.courier(t)
			c.at.version = 7
			at := time.Now().Add(-time.Minute)
			first := about(newEvent(b.trail, eventName(0), at), v1alpha1.ActionDelete, "u1", "5")
			first.Status.Outcome, first.Status.RecordedResourceVersion = outcome, "7"
			second := about(newEvent(b.trail, eventName(1), at.Add(100*time.Millisecond)), v1alpha1.ActionDelete, "u1", "5")
			second.Spec.Actor.Username = "bob"
			b.api.store(first, 7)
			b.api.store(second, 8)
			c.box.lose()
			stop := b.start(t, c)
			pause.For(t.Context(), time.Minute)
			stop()
			links := b.links(t)
			g.Expect(links).To(HaveLen(1))
			g.Expect(links[0].Outcome).To(BeEquivalentTo(want))
		})
	}
}
