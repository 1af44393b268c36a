package presence

import (
	"slices"
	"time"
)

const (
	// slowSign is how long a sign of life takes when the API server does not store anything for a while.
	slowSign = time.Second
	// clocks is how far apart two clocks may be, with what it takes until all that waited is stored when the API server stores again: up to
	// 0.7 s after the first was.
	clocks = time.Second
	// underWay is how long before the API server stored its last a request may have come, by some replica's clock, that was not stored any
	// more.
	underWay = time.Second
	// maxSilences bounds how many silences are remembered: what waited in one may be judged when others have come.
	maxSilences = 64
)

// silence is a time in which no sign of life could be given, or one took long: the API server stored nothing, or not for this replica.
type silence struct {
	// from is since when, and to is zero while it lasts.
	from, to time.Time
	// stored is when the API server had stored something, the last time before that.
	stored time.Time
}

// silences are the last ones, in their order.
type silences []silence

// note notes whether a sign of life could be given, and when the API server had stored something, the last time before that.
func (s *silences) note(stored, began, ended time.Time, given bool) {
	last := s.last()
	switch lasts := last != nil && last.to.IsZero(); {
	case !given && !lasts:
		s.add(silence{from: began, stored: stored})
	case given && lasts:
		last.to = ended
	case given && ended.Sub(began) > slowSign:
		s.add(silence{from: began, to: ended, stored: stored})
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

// StalledUntil is until when a request that came at a moment, by some replica's clock, may have waited in the last silences; zero when it did
// not. A silence may have begun when the API server had stored its last, or on its way there.
func (p *Presence) StalledUntil(moment time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	var until time.Time
	for _, s := range p.silences {
		ended := s.to
		if ended.IsZero() {
			ended = p.options.Clock.Now()
		}
		ended = ended.Add(clocks)
		if moment.After(s.stored.Add(-underWay)) && moment.Before(ended) {
			until, moment = ended, ended
		}
	}
	return until
}

// StallsKnown says whether StalledUntil knows of a moment: not of those before this replica began to record.
func (p *Presence) StallsKnown(moment time.Time) bool {
	since := p.began()
	return !since.IsZero() && !moment.Before(since)
}
