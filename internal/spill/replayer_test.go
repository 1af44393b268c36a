package spill

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
)

// sink is a Writer that can be made to fail.
type sink struct {
	mu       sync.Mutex
	err      error
	attempts []time.Time
	written  []string
	deadline bool
}

func (s *sink) Write(ctx context.Context, record Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, s.deadline = ctx.Deadline()
	s.attempts = append(s.attempts, time.Now())
	if s.err != nil {
		return s.err
	}
	s.written = append(s.written, record.Name)
	return nil
}

func (s *sink) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *sink) tries() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.attempts...)
}

func (s *sink) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.written...)
}

// inReplayer runs a Replayer in a bubble of fake time; stop ends it and waits for it.
func inReplayer(t *testing.T, test func(t *testing.T, store *Store, to *sink, stop func())) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		store, err := Open(dir, Options{})
		g.Expect(err).NotTo(HaveOccurred())
		defer func() { g.Expect(store.Close()).To(Succeed()) }()
		appendNumbered(t, store, 1)
		to := &sink{}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { g.Expect(NewReplayer(store, to).Start(ctx)).To(Succeed()) })
		stop := func() { cancel(); running.Wait() }
		defer stop()
		synctest.Wait()
		test(t, store, to, stop)
	})
}

// pass lets time pass in the bubble: the fake clock jumps as soon as everybody waits.
func pass(d time.Duration) { <-time.After(d) }

func TestReplayerReplaysWhatWasLeftAndWhatIsAppended(t *testing.T) {
	inReplayer(t, func(t *testing.T, store *Store, to *sink, _ func()) {
		t.Helper()
		g := NewWithT(t)
		g.Expect(to.names()).To(Equal([]string{numbered(0).Name}), "left by the last run")
		start := time.Now()
		g.Expect(store.Append(t.Context(), numbered(1))).To(Succeed())
		pass(replayQuiet)
		synctest.Wait()
		g.Expect(to.names()).To(Equal([]string{numbered(0).Name, numbered(1).Name}))
		g.Expect(time.Since(start)).To(Equal(replayQuiet), "woken, not polling")
		g.Expect(to.deadline).To(BeTrue())
		g.Expect(store.Len()).To(BeZero())
	})
}

func TestReplayerLetsABurstPass(t *testing.T) {
	inReplayer(t, func(t *testing.T, store *Store, to *sink, _ func()) {
		t.Helper()
		g := NewWithT(t)
		const pause = replayQuiet / 2
		start := time.Now()
		i := 1
		for ; len(to.names()) == 1; i++ { // what the last run left
			g.Expect(store.Append(t.Context(), numbered(i))).To(Succeed())
			pass(pause)
			synctest.Wait()
		}
		g.Expect(time.Since(start)).To(BeNumerically("~", replayHold, pause), "a burst without an end is not waited for")
		pass(replayQuiet)
		synctest.Wait()
		g.Expect(to.names()).To(HaveLen(i))
		g.Expect(store.Len()).To(BeZero())
	})
}

func TestReplayerBacksOffAndRecovers(t *testing.T) {
	inReplayer(t, func(t *testing.T, store *Store, to *sink, _ func()) {
		t.Helper()
		g := NewWithT(t)
		to.fail(errors.New("etcdserver: no space"))
		g.Expect(store.Append(t.Context(), numbered(1))).To(Succeed())
		for i := range 600 { // ten minutes of outage, with an append every second
			pass(time.Second)
			g.Expect(store.Append(t.Context(), numbered(2+i))).To(Succeed())
		}
		synctest.Wait()
		tries := to.tries()
		g.Expect(len(tries)).To(And(BeNumerically(">", 15), BeNumerically("<", 40)), "appends must not shorten the delay")
		last := tries[len(tries)-1].Sub(tries[len(tries)-2])
		g.Expect(last).To(And(BeNumerically(">=", replayMaxDelay), BeNumerically("<=", replayMaxDelay*12/10)))

		to.fail(nil)
		pass(replayMaxDelay * 12 / 10)
		synctest.Wait()
		g.Expect(to.names()).To(HaveLen(602))
		g.Expect(store.Len()).To(BeZero())
	})
}

func TestReplayerFlushesWhenItStops(t *testing.T) {
	inReplayer(t, func(t *testing.T, store *Store, to *sink, stop func()) {
		t.Helper()
		g := NewWithT(t)
		to.fail(errors.New("timeout"))
		g.Expect(store.Append(t.Context(), numbered(1))).To(Succeed())
		synctest.Wait()
		to.fail(nil)
		stop()
		g.Expect(to.names()).To(Equal([]string{numbered(0).Name, numbered(1).Name}))
		g.Expect(store.Len()).To(BeZero())
	})
}
