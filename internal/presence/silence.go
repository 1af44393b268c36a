package presence

import (
	"slices"
	"time"
)

const (
	// slowSign is how long a sign of life takes when the API server does not store anything for a while.
	slowSign = time.Second
	// clocks is how far apart two clocks may be.
	clocks = 2 * time.Second
	// maxSilences bounds how many silences are remembered: what waited in one may be judged when others have come.
	maxSilences = 64
)

// silence is a time in which no sign of life could be given, or one took long: the API server stored nothing, or not for this replica.
type silence struct {
	// from is since when, and to is zero while it lasts.
	from, to time.Time
}

// silences are the last ones, in their order.
type silences []silence

// note notes whether a sign of life could be given.
func (s *silences) note(began, ended time.Time, given bool) {
	last := s.last()
	switch lasts := last != nil && last.to.IsZero(); {
	case !given && !lasts:
		s.add(silence{from: began})
	case given && lasts:
		last.to = ended
	case given && ended.Sub(began) > slowSign:
		s.add(silence{from: began, to: ended})
	}
}

func (s *silences) add(another silence) {
	if len(*s) == maxSilences {
		*s = slices.Delete(*s, 0, 1)
	}
	*s = append(*s, another)
}

func (s *silences) last() *silence {
	if len(*s) == 0 {
		return nil
	}
	return &(*s)[len(*s)-1]
}

// Silence is how long no sign of life could be given, or one took, the last time that this was so, and for how long they could since; 0
// while they cannot.
func (p *Presence) Silence() (lasted, ago time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.silences.last()
	switch {
	case last == nil:
		return 0, 0
	case last.to.IsZero():
		return p.options.Clock.Since(last.from), 0
	default:
		return last.to.Sub(last.from), p.options.Clock.Since(last.to)
	}
}

// Stalled says that a request that came at a moment, by some replica's clock, may have waited in one of the last silences. The one that
// began a silence may have come some time after the API server stored its last.
func (p *Presence) Stalled(moment time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.silences, func(s silence) bool {
		return moment.After(s.from.Add(-renewEvery-clocks)) && (s.to.IsZero() || moment.Before(s.to.Add(clocks)))
	})
}
