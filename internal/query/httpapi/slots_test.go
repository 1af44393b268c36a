package httpapi

import (
	"context"
	"testing"
	"testing/synctest"

	. "github.com/onsi/gomega"
)

func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		s := newSlots(2)
		g.Expect(s.take(t.Context())).To(BeTrue())
		g.Expect(s.take(t.Context())).To(BeTrue())
		g.Expect(s.take(t.Context())).To(BeFalse(), "it waited, and nobody left")

		waited := make(chan bool)
		go func() { waited <- s.take(t.Context()) }()
		synctest.Wait()
		s.leave()
		g.Expect(<-waited).To(BeTrue(), "somebody left")

		gone, cancel := context.WithCancel(t.Context())
		for range maxWaiting {
			go func() { waited <- s.take(gone) }()
		}
		synctest.Wait()
		g.Expect(s.take(t.Context())).To(BeFalse(), "too many wait: it is told at once")
		g.Expect(s.waiting).To(HaveLen(maxWaiting))
		cancel()
		for range maxWaiting {
			g.Expect(<-waited).To(BeFalse())
		}
		g.Expect(s.waiting).To(BeEmpty())
	})
}
