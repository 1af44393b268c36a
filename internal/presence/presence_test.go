package presence

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
)

// fakeBoard is a Lease with optimistic concurrency.
type fakeBoard struct {
	mu          sync.Mutex
	annotations map[string]string
	version     int
	err         error
	took        time.Duration
}

func (b *fakeBoard) Patch(_ context.Context, changes map[string]*string, version string) (*metav1.ObjectMeta, error) {
	b.mu.Lock()
	took := b.took
	b.mu.Unlock()
	<-time.After(took)
	meta, err := b.patch(changes, version)
	if len(changes) == 0 {
		// Those who read at the same time all have read before one of them writes.
		<-time.After(time.Millisecond)
	}
	return meta, err
}

// head is the position of the API server that keeps the Lease.
func (b *fakeBoard) head(context.Context) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strconv.Itoa(1000 + b.version), b.err
}

func (b *fakeBoard) patch(changes map[string]*string, version string) (*metav1.ObjectMeta, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil, b.err
	}
	if version != "" && version != strconv.Itoa(b.version) {
		return nil, apierrors.NewConflict(schema.GroupResource{Resource: "leases"}, "x", nil)
	}
	if b.annotations == nil {
		b.annotations = map[string]string{}
	}
	for key, value := range changes {
		if value == nil {
			delete(b.annotations, key)
		} else {
			b.annotations[key] = *value
		}
	}
	if len(changes) > 0 {
		b.version++
	}
	return &metav1.ObjectMeta{Annotations: maps.Clone(b.annotations), ResourceVersion: strconv.Itoa(b.version)}, nil
}

func (b *fakeBoard) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

// errAway is what the board fails with while the API server is away.
var errAway = errors.New("no API server")

// delay lets each patch take so long.
func (b *fakeBoard) delay(took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.took = took
}

func (b *fakeBoard) state() state {
	b.mu.Lock()
	defer b.mu.Unlock()
	return parse(b.annotations)
}

// cluster is replicas that share a board, and the windows that they told.
type cluster struct {
	t     *testing.T
	board *fakeBoard
	began time.Time

	mu   sync.Mutex
	told []Window
	// tellErr is what telling fails with.
	tellErr error
	started int
	// shards is how many the next replica shares.
	shards int
	// lastStored is when the API server stored an event, the last time.
	lastStored time.Time
}

// awayFor lets time pass in which the API server stores nothing.
func (c *cluster) awayFor(lasted time.Duration) {
	c.board.fail(errAway)
	pass(lasted)
	c.board.fail(nil)
}

// signSlowly lets time pass in which a sign of life takes so long.
func (c *cluster) signSlowly(took time.Duration) {
	c.board.delay(took)
	pass(renewEvery + took)
	c.board.delay(0)
}

func (c *cluster) store(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastStored = at
}

func (c *cluster) stored() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastStored
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	return &cluster{t: t, board: &fakeBoard{}, began: time.Now()}
}

// replica is a running Presence.
type replica struct {
	presence *Presence
	cancel   context.CancelFunc
	done     chan struct{}
}

// start starts a replica that is ready after a while and is called first after another; 0 for never.
func (c *cluster) start(ready, called time.Duration) *replica {
	began := time.Now()
	r := &replica{done: make(chan struct{})}
	r.presence = New(Options{
		Board:   c.board,
		Replica: "replica",
		Shards:  c.shards,
		Ready: []func(*http.Request) error{func(*http.Request) error {
			if time.Since(began) < ready {
				return errors.New("not yet")
			}
			return nil
		}},
		FirstCall: func() (time.Time, bool) { return began.Add(called), called > 0 && time.Since(began) >= called },
		Stored:    c.stored,
		Head:      c.board.head,
		Started:   func(context.Context, time.Time) { c.mu.Lock(); c.started++; c.mu.Unlock() },
		Tell: func(_ context.Context, window Window) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.tellErr == nil {
				c.told = append(c.told, window)
			}
			return c.tellErr
		},
		Clock: clock.RealClock{},
	})
	ctx, cancel := context.WithCancel(c.t.Context())
	r.cancel = cancel
	go func() {
		defer close(r.done)
		r.presence.Run(ctx)
	}()
	return r
}

// kill ends a replica without a word.
func (r *replica) kill() {
	r.cancel()
	<-r.done
}

func (r *replica) stop(t *testing.T) {
	t.Helper()
	r.kill()
	stopped, err := r.presence.Stop(t.Context())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(stopped).To(BeTrue())
}

// windows are the told ones in seconds since the cluster began.
func (c *cluster) windows() [][2]float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := [][2]float64{}
	for _, w := range c.told {
		list = append(list, [2]float64{w.Start.Sub(c.began).Seconds(), w.End.Sub(c.began).Seconds()})
	}
	return list
}

func pass(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

func TestWindows(t *testing.T) {
	const sec = time.Second
	for name, test := range map[string]struct {
		run  func(c *cluster)
		want [][2]float64
	}{
		"the first start": {func(c *cluster) {
			defer c.start(sec, 0).kill()
			pass(20 * sec)
		}, nil},
		"killed soon after the first start": {func(c *cluster) {
			a := c.start(0, 0)
			pass(3 * sec)
			a.kill()
			defer c.start(4*sec, 0).kill()
			pass(20 * sec)
		}, [][2]float64{{2, 7}}},
		"killed, and started again": {func(c *cluster) {
			a := c.start(0, 0)
			pass(21 * sec) // the last sign of life is at 20
			a.kill()
			defer c.start(4*sec, 0).kill()
			pass(20 * sec)
		}, [][2]float64{{20, 25}}},
		"found by the API server some time after it was ready": {func(c *cluster) {
			a := c.start(0, 0)
			pass(21 * sec)
			a.kill()
			defer c.start(4*sec, 7*sec).kill()
			pass(20 * sec)
		}, [][2]float64{{20, 28}}},
		"called first long after it was ready": {func(c *cluster) {
			a := c.start(0, 0)
			pass(21 * sec)
			a.kill()
			b := c.start(4*sec, 100*sec)
			pass(200 * sec)
			b.stop(c.t)
			defer c.start(sec, 0).kill()
			pass(20 * sec)
		}, [][2]float64{{20, 25}, {221, 222}}},
		"stopped in good order, and started again": {func(c *cluster) {
			a := c.start(0, 0)
			pass(21 * sec)
			a.stop(c.t)
			pass(60 * sec)
			defer c.start(0, 0).kill()
			pass(20 * sec)
		}, [][2]float64{{21, 81}}},
		"one of two killed": {func(c *cluster) {
			a := c.start(0, 0)
			defer c.start(sec, 0).kill()
			pass(21 * sec)
			a.kill()
			pass(10 * sec)
			defer c.start(0, 0).kill()
			pass(20 * sec)
		}, nil},
		"rolling restart": {func(c *cluster) {
			old := []*replica{c.start(0, 0), c.start(0, 0), c.start(0, 0)}
			pass(30 * sec)
			for _, r := range old {
				defer c.start(sec, 0).kill()
				pass(2 * sec)
				r.stop(c.t)
			}
			pass(20 * sec)
			defer c.start(sec, 0).kill()
			pass(20 * sec)
		}, nil},
		"several start at once": {func(c *cluster) {
			a := c.start(0, 0)
			pass(21 * sec)
			a.kill()
			pass(9 * sec)
			for range 5 {
				defer c.start(sec, 0).kill()
			}
			pass(30 * sec)
		}, [][2]float64{{20, 31}}},
		"killed before it could tell": {func(c *cluster) {
			a := c.start(0, 0)
			pass(21 * sec)
			a.kill()
			pass(9 * sec)
			b := c.start(0, 0)
			pass(3 * sec) // signs of life at 30 and 32
			b.kill()
			pass(7 * sec)
			defer c.start(0, 0).kill()
			pass(20 * sec)
		}, [][2]float64{{20, 30}, {32, 40}}},
		"killed while it told": {func(c *cluster) {
			a := c.start(0, 0)
			pass(21 * sec)
			a.kill()
			c.tellErr = errors.New("etcd is away")
			b := c.start(0, 0)
			pass(7 * sec) // it has claimed the window
			b.kill()
			c.tellErr = nil
			pass(2 * sec)
			defer c.start(0, 0).kill()
			pass(20 * sec)
		}, [][2]float64{{20, 21}, {27, 30}}},
		"telling fails at first": {func(c *cluster) {
			a := c.start(0, 0)
			pass(21 * sec)
			a.kill()
			c.tellErr = errors.New("etcd is away")
			defer c.start(0, 0).kill()
			pass(10 * sec)
			c.mu.Lock()
			c.tellErr = nil
			c.mu.Unlock()
			pass(60 * sec)
		}, [][2]float64{{20, 21}}},
		"the API server is away for a while": {func(c *cluster) {
			defer c.start(0, 0).kill()
			pass(21 * sec)
			c.board.fail(errAway)
			pass(10 * sec)
			defer c.start(0, 0).kill()
			pass(20 * sec)
			c.board.fail(nil)
			pass(60 * sec)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t)
				test.run(c)
				NewWithT(t).Expect(c.windows()).To(HaveLen(len(test.want)), "%v", c.windows())
				for i, want := range test.want {
					NewWithT(t).Expect(c.windows()[i]).To(Equal(want))
				}
			})
		})
	}
}

// TestPast: a replica that starts knows from when on the others recorded without a break.
func TestPast(t *testing.T) {
	for name, test := range map[string]struct {
		run  func(c *cluster) *replica
		want time.Duration
		// gaps are when nobody recorded.
		gaps [][2]time.Duration
	}{
		"the first start": {func(c *cluster) *replica { return c.start(time.Second, 0) }, time.Second, nil},
		"another lives": {func(c *cluster) *replica {
			c.t.Cleanup(c.start(0, 0).kill)
			pass(time.Minute)
			return c.start(0, 0)
		}, 0, nil},
		"nobody was there for a while": {func(c *cluster) *replica {
			a := c.start(0, 0)
			pass(21 * time.Second)
			a.kill()
			pass(39 * time.Second)
			return c.start(0, 0)
		}, time.Minute, [][2]time.Duration{{20 * time.Second, time.Minute}}},
		"nobody was there, and another has told it": {func(c *cluster) *replica {
			a := c.start(0, 0)
			pass(21 * time.Second)
			a.kill()
			pass(39 * time.Second)
			c.t.Cleanup(c.start(0, 0).kill)
			pass(time.Minute)
			return c.start(0, 0)
		}, time.Minute, [][2]time.Duration{{20 * time.Second, time.Minute}}},
		"killed, while another lives": {func(c *cluster) *replica {
			c.t.Cleanup(c.start(0, 0).kill)
			b := c.start(0, 0)
			pass(time.Minute)
			b.kill()
			pass(5 * time.Second)
			return c.start(0, 0)
		}, 0, nil},
		"one after the other": {func(c *cluster) *replica {
			a := c.start(0, 0)
			pass(30 * time.Second)
			b := c.start(0, 0)
			pass(30 * time.Second)
			a.kill()
			pass(time.Minute)
			c.t.Cleanup(b.kill)
			return c.start(0, 0)
		}, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				c := newCluster(t)
				last := test.run(c)
				_, known := last.presence.Past()
				g.Expect(known).To(BeFalse())
				pass(10 * time.Second)
				past, known := last.presence.Past()
				g.Expect(known).To(BeTrue())
				g.Expect(past.Covered.Sub(c.began)).To(BeNumerically("~", test.want, 100*time.Millisecond))
				g.Expect(past.Gaps).To(HaveLen(len(test.gaps)))
				for i, gap := range past.Gaps {
					g.Expect(gap.Start.Sub(c.began)).To(BeNumerically("~", test.gaps[i][0], 100*time.Millisecond))
					g.Expect(gap.End.Sub(c.began)).To(BeNumerically("~", test.gaps[i][1], 100*time.Millisecond))
				}
				last.kill()
			})
		})
	}
}

// TestOneGapStandsForTheOldest: the Lease holds a bounded number of them, and none is lost.
func TestOneGapStandsForTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		c := newCluster(t)
		var last *replica
		for range maxGaps + 3 {
			last = c.start(0, 0)
			pass(10 * time.Second)
			last.kill()
			pass(10 * time.Second)
		}
		g.Expect(c.windows()).To(HaveLen(maxGaps + 2))
		past, known := last.presence.Past()
		g.Expect(known).To(BeTrue())
		g.Expect(past.Gaps).To(HaveLen(maxGaps))
		g.Expect(past.Gaps[0].Start).To(BeTemporally("==", c.told[0].Start))
		g.Expect(past.Gaps[0].End).To(BeTemporally("==", c.told[2].End))
		for i, gap := range past.Gaps[1:] {
			g.Expect(gap.Start).To(BeTemporally("==", c.told[3+i].Start))
			g.Expect(gap.End).To(BeTemporally("==", c.told[3+i].End))
		}
	})
}

// TestPosition is that of the last sign of life, also while none can be given.
func TestPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		c := newCluster(t)
		r := c.start(time.Second, 0)
		g.Expect(r.presence.Position()).To(BeEmpty())
		pass(1100 * time.Millisecond)
		g.Expect(r.presence.Position()).To(Equal("1001"))
		c.board.fail(errors.New("away"))
		pass(time.Minute)
		g.Expect(r.presence.Position()).To(Or(Equal("1001"), Equal("1002")))
		c.board.fail(nil)
		pass(time.Minute)
		g.Expect(strconv.Atoi(r.presence.Position())).To(BeNumerically(">", 1020))
		r.kill()
	})
}

func TestTheDeadAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		c := newCluster(t)
		for range 10 {
			r := c.start(0, 0)
			pass(10 * time.Second)
			r.stop(t)
		}
		last := c.start(0, 0)
		pass(10 * time.Second)
		g.Expect(c.board.state().entries).To(HaveLen(1))
		g.Expect(c.board.state().claim).To(BeNil())
		g.Expect(c.started).To(Equal(11))
		last.kill()
	})
}

func TestWhoWasNeverReadySaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		c := newCluster(t)
		r := c.start(time.Hour, 0)
		pass(time.Minute)
		r.kill()
		stopped, err := r.presence.Stop(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(stopped).To(BeFalse())
		g.Expect(c.board.version).To(BeZero())
	})
}

func TestWhatSomebodyElseWroteIsLeftOut(t *testing.T) {
	g := NewWithT(t)
	s := parse(map[string]string{
		entryPrefix + "x": "not JSON", accountedKey: "yesterday", claimKey: `{"by":"x"}`, gapsKey: `[{"start":7}]`, "other": "{}",
	})
	g.Expect(s.entries).To(BeEmpty())
	g.Expect(s.accounted.IsZero()).To(BeTrue())
	g.Expect(s.claim).To(BeNil())
	g.Expect(s.gaps).To(BeEmpty())
	g.Expect(s.uncovered(time.Now(), nil)).To(BeEmpty())
}

// A replica that lives covers the time until now, also when its clock is behind.
func TestClocksThatDiffer(t *testing.T) {
	g := NewWithT(t)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := state{accounted: now.Add(-time.Hour), entries: map[string]entry{
		"behind": {Since: now.Add(-time.Hour), Seen: now.Add(-20 * time.Second)},
	}}
	g.Expect(s.uncovered(now, map[string]bool{"behind": true})).To(BeEmpty())
	g.Expect(s.uncovered(now, nil)).To(Equal([]Window{{now.Add(-20 * time.Second), now}}))
}

// TestGapAfter: a gap matters to what was before its end, however long before.
func TestGapAfter(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 3, 1, 12, minute, 0, 0, time.UTC) }
	past := Past{Gaps: []Window{{at(10), at(12)}, {at(20), at(22)}}}
	for minute, want := range map[int]time.Time{0: at(10), 11: at(10), 12: at(20), 15: at(20), 21: at(20), 22: {}, 30: {}} {
		NewWithT(t).Expect(past.GapAfter(at(minute))).To(Equal(want), "minute %d", minute)
	}
}
