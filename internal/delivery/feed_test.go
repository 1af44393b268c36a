package delivery

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/utils/clock"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/pause"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// TestSubscribeMissesNothing: whatever the feed gives out while a trail subscribes, the inbox has everything past the
// cursor, or says that it is behind.
func TestSubscribeMissesNothing(t *testing.T) {
	const last, tries = 50, 200
	trail := newTrail("shop", "security")
	wires := make([]*recorded.Wire, last+1)
	for version := 1; version <= last; version++ {
		wires[version] = stored(t, newEvent(trail, eventName(version), recordedTime), uint64(version))
	}
	random := rand.New(rand.NewPCG(3, 4))
	followed := 0
	for range tries {
		g := NewWithT(t)
		f := newFeed(nil, clock.RealClock{})
		f.begin(1)
		cursor := uint64(random.IntN(last) + 1)
		box := newInbox(1 << 20)
		give := func(from, to uint64) {
			for version := from; version <= to; version++ {
				f.give(t.Context(), version, wires[version])
			}
		}
		before := uint64(random.IntN(last) + 1)
		give(2, before)
		var group sync.WaitGroup
		group.Go(func() { give(before+1, last) })
		f.subscribe(trail.UID, box, cursor, true)
		group.Wait()

		events, behind := box.take()
		if behind {
			g.Expect(events).To(BeEmpty())
			continue
		}
		followed++
		var want []uint64
		for version := cursor + 1; version <= last; version++ {
			want = append(want, version)
		}
		var got []uint64
		for _, version := range versionsOf(events) {
			if version > cursor {
				got = append(got, version)
			}
		}
		g.Expect(got).To(Equal(want), "cursor %d", cursor)
	}
	NewWithT(t).Expect(followed).To(BeNumerically(">", 0), "no try was worth anything")
}

func TestSubscribeFollowsOnlyFromTheCursor(t *testing.T) {
	for name, test := range map[string]struct {
		position, cursor uint64
		restored, behind bool
	}{
		"the feed is not there yet":           {10, 11, false, false},
		"the feed will not be there for long": {10, 11, true, true},
		"the feed is there":                   {10, 10, false, false},
		"the feed has passed it":              {10, 9, false, true},
		"nothing was watched so far":          {0, 9, false, true},
		"nothing was watched, nothing pushed": {0, 0, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFeed(nil, clock.RealClock{})
			f.position = test.position
			box := newInbox(1 << 20)
			f.subscribe("trail", box, test.cursor, !test.restored)
			_, behind := box.take()
			NewWithT(t).Expect(behind).To(Equal(test.behind))
		})
	}
}

// feeding is a feed of a fake API server that runs in a bubble, with two trails that follow it.
type feeding struct {
	api    *fakeAPI
	trails [2]*v1alpha1.AuditTrail
	boxes  [2]*inbox
}

func startFeed(t *testing.T, version uint64) *feeding {
	t.Helper()
	f := &feeding{api: newFakeAPI()}
	f.api.version = version
	feed := newFeed(&source{client: f.api.rest(t), watches: f.api.rest(t)}, clock.RealClock{})
	var group sync.WaitGroup
	group.Go(func() { feed.run(t.Context()) })
	t.Cleanup(group.Wait)
	t.Cleanup(func() {
		f.api.mu.Lock()
		defer f.api.mu.Unlock()
		if f.api.watch != nil {
			_ = f.api.watch.Close()
		}
	})
	synctest.Wait()
	for i, name := range []string{"one", "two"} {
		f.trails[i] = newTrail("shop", name)
		f.boxes[i] = newInbox(1 << 20)
		feed.subscribe(f.trails[i].UID, f.boxes[i], version, true)
	}
	return f
}

// look returns what one of the inboxes holds.
func (f *feeding) look(trail int) (versions []uint64, behind bool) {
	synctest.Wait()
	events, behind := f.boxes[trail].take()
	return versionsOf(events), behind
}

func TestFeedGivesEachTrailItsEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		f := startFeed(t, 10)
		f.api.store(newEvent(f.trails[0], "a", recordedTime), 11)
		f.api.store(newEvent(f.trails[1], "b", recordedTime), 12)
		f.api.store(newEvent(newTrail("shop", "nobody's"), "c", recordedTime), 13)
		f.api.send("MODIFIED", newEvent(f.trails[0], "a", recordedTime)) // Its resourceVersion is not set: skipped with an error.
		synctest.Wait()
		pause.For(t.Context(), time.Minute) // In a bubble it passes at once.
		synctest.Wait()
		written := newEvent(f.trails[0], "a", recordedTime)
		written.ResourceVersion = "14"
		f.api.send("MODIFIED", written)
		f.api.store(newEvent(f.trails[0], "d", recordedTime), 15)

		versions, behind := f.look(0)
		g.Expect(versions).To(Equal([]uint64{11, 15}), "a status that was written later is no new event")
		g.Expect(behind).To(BeFalse())
		versions, _ = f.look(1)
		g.Expect(versions).To(Equal([]uint64{12}))
	})
}

// TestFeedGoesOnWhereItWas: a watch that ended, as all do, is resumed at the last resourceVersion, bookmarks included.
func TestFeedGoesOnWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		f := startFeed(t, 10)
		f.api.store(newEvent(f.trails[0], "a", recordedTime), 11)
		f.api.bookmark(25)
		synctest.Wait()
		f.api.endWatch()
		synctest.Wait()
		g.Expect(f.api.watches()).To(Equal([]uint64{10, 25}))
		f.api.store(newEvent(f.trails[0], "b", recordedTime), 26)
		versions, behind := f.look(0)
		g.Expect(versions).To(Equal([]uint64{11, 26}))
		g.Expect(behind).To(BeFalse())
	})
}

// TestAnExpiredWatchLeavesEveryoneBehind: what happened in between is read from lists, by each trail for itself.
func TestAnExpiredWatchLeavesEveryoneBehind(t *testing.T) {
	tests := map[string]func(api *fakeAPI){
		"in the middle":       func(api *fakeAPI) { api.send("ERROR", expired()) },
		"when it is resumed":  func(api *fakeAPI) { api.refuse = expired(); api.endWatch() },
		"refused as too new":  func(api *fakeAPI) { api.refuse = tooLarge(); api.endWatch() },
		"after etcd restored": func(api *fakeAPI) { api.bookmark(900); api.restore(40); api.endWatch() },
	}
	for name, expire := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				f := startFeed(t, 10)
				f.api.store(newEvent(f.trails[0], "a", recordedTime), 11)
				synctest.Wait()
				f.api.restore(40) // This much nobody was told of.
				expire(f.api)
				pause.For(t.Context(), time.Minute) // In a bubble it passes at once.

				versions, behind := f.look(0)
				g.Expect(versions).To(Equal([]uint64{11}), "what came before the gap is still good")
				g.Expect(behind).To(BeTrue())
				_, behind = f.look(1)
				g.Expect(behind).To(BeTrue())
				watches := f.api.watches()
				g.Expect(watches[len(watches)-1]).To(BeEquivalentTo(40), "it begins anew at the present")

				f.boxes[1].follow()
				f.api.store(newEvent(f.trails[1], "b", recordedTime), 41)
				versions, behind = f.look(1)
				g.Expect(versions).To(Equal([]uint64{41}))
				g.Expect(behind).To(BeFalse())
			})
		})
	}
}
