package rules

import (
	"errors"
	"net/http"
	"sync/atomic"
)

// Store holds the Set in force on this replica. Its zero value is ready to use and holds none.
type Store struct {
	set atomic.Pointer[Set]
}

// Swap puts a Set in force. Requests that are being matched go on with the one they loaded.
func (s *Store) Swap(set *Set) {
	s.set.Store(set)
}

// Load returns the Set in force, and nil before the first Swap: then it is not known who wants what, and a request must
// not be answered as if nobody did.
func (s *Store) Load() *Set {
	return s.set.Load()
}

// Ready is a readiness check: an error before the first Swap.
func (s *Store) Ready(*http.Request) error {
	if s.Load() == nil {
		return errors.New("the trails' rules have not been compiled yet")
	}
	return nil
}
