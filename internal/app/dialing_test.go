package app

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
)

// TestAReplicaThatDoesNotAnswerItselfIsNotReady, and is again when it does; whether the Service leads anywhere only shows.
func TestAReplicaThatDoesNotAnswerItselfIsNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		var own, public atomic.Bool // Whether a call of the address fails.
		own.Store(true)
		var shown []bool
		d := &dialer{own: "own", public: "public", reached: func(reached bool) { shown = append(shown, reached) }}
		d.verify = func(_ context.Context, address string) error {
			if address == "own" && own.Load() || address == "public" && public.Load() {
				return errors.New("connection refused")
			}
			return nil
		}
		d.failures.Store(failuresToLeave)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = d.Start(ctx) }()
		pass := func(after time.Duration) { wait(ctx, after); synctest.Wait() }

		pass(time.Second)
		g.Expect(d.ready(nil)).To(MatchError(errNotServing))
		own.Store(false)
		pass(2 * readyInterval)
		g.Expect(d.ready(nil)).To(Succeed())
		public.Store(true)
		pass(dialEvery)
		g.Expect(d.ready(nil)).To(Succeed(), "no replica would ever be ready again")
		g.Expect(shown).To(Equal([]bool{false}))

		public.Store(false)
		own.Store(true)
		pass(dialEvery)
		g.Expect(d.ready(nil)).To(Succeed(), "one call may be lost")
		pass(dialEvery)
		g.Expect(d.ready(nil)).To(MatchError(errNotServing))
		g.Expect(shown).To(Equal([]bool{false, true, true}))
		own.Store(false)
		pass(dialEvery)
		g.Expect(d.ready(nil)).To(Succeed())
		cancel()
		<-ended
	})
}

func TestOwnAddress(t *testing.T) {
	for bind, want := range map[string]string{
		":9443": "127.0.0.1:9443", "0.0.0.0:9443": "127.0.0.1:9443", "[::]:9443": "127.0.0.1:9443",
		"10.1.2.3:9443": "10.1.2.3:9443", "localhost:9443": "localhost:9443", "[::1]:9443": "[::1]:9443",
	} {
		NewWithT(t).Expect(ownAddress(bind)).To(Equal(want), bind)
	}
}
