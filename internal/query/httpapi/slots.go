package httpapi

import "context"

// slots bound how many requests are answered at a time. A few more wait, so that a burst is not refused.
type slots struct{ taken, waiting chan struct{} }

func newSlots(count int) *slots {
	return &slots{taken: make(chan struct{}, count), waiting: make(chan struct{}, maxWaiting)}
}

// take waits for a slot, for a while; false when there is none.
func (s *slots) take(ctx context.Context) bool {
	select {
	case s.taken <- struct{}{}:
		return true
	default:
	}
	select {
	case s.waiting <- struct{}{}:
		defer func() { <-s.waiting }()
	default:
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case s.taken <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *slots) leave() { <-s.taken }
