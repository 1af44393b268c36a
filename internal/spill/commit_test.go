package spill

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// occupy has the store look as if somebody committed a group. What it returns ends that.
func occupy(store *Store) (end func()) {
	store.mu.Lock()
	defer store.mu.Unlock()
	store.committing = true
	return func() {
		store.mu.Lock()
		defer store.mu.Unlock()
		store.passOn()
	}
}

func (s *Store) countWaiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}

// Whoever gives up while it is its turn, or in the same moment, must not leave those behind it waiting.
func TestSomebodyLeadsAlsoWhenTheFirstGivesUp(t *testing.T) {
	g := NewWithT(t)
	store := open(t, t.TempDir(), Options{})
	stored := 0
	for range 50 {
		end := occupy(store)
		first, giveUp := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		var errs [2]error
		callers.Go(func() { errs[0] = store.Append(first, numbered(1)) })
		g.Eventually(store.countWaiting).WithPolling(time.Millisecond).Should(Equal(1))
		callers.Go(func() { errs[1] = store.Append(t.Context(), numbered(2)) })
		g.Eventually(store.countWaiting).WithPolling(time.Millisecond).Should(Equal(2))
		giveUp()
		end()
		callers.Wait()
		g.Expect(errs[0]).To(Or(Succeed(), MatchError(context.Canceled)))
		g.Expect(errs[1]).NotTo(HaveOccurred())
		stored++
		if !errors.Is(errs[0], context.Canceled) {
			stored++
		}
	}
	g.Expect(store.Len()).To(Equal(stored), "who was told that it was not stored had left its group in time")
}

func TestCloseWaitsForThoseWhoWait(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	store := open(t, dir, Options{})
	end := occupy(store)
	var callers sync.WaitGroup
	var appended, closed error
	callers.Go(func() { appended = store.Append(t.Context(), numbered(1)) })
	g.Eventually(store.countWaiting).WithPolling(time.Millisecond).Should(Equal(1))
	callers.Go(func() { closed = store.Close() })
	end()
	callers.Wait()
	g.Expect(appended).NotTo(HaveOccurred())
	g.Expect(closed).NotTo(HaveOccurred())
	g.Expect(drain(t, open(t, dir, Options{}))).To(HaveLen(1))
}
