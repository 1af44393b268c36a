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
	// maxStalls bounds how many stalls are remembered: what waited in one may be judged when others have come. The Lease holds as many of
	// each replica, some 80 bytes each.
	maxStalls = 32
)

// silence is a time in which no sign of life could be given, or one took long.
type silence struct {
	// from is since when, and to is zero while it lasts.
	from, to time.Time
	// stored is when the API server had stored something, the last time before that.
	stored time.Time
}

// stall is a time in which the API server stored nothing, or not for some replica.
type stall struct {
	// After is when it had stored something, the last time before that.
	After time.Time `json:"after"`
	// Until is when it did so again.
	Until time.Time `json:"until"`
}

// stalls are all that there were between two moments, in their order: what a replica tells the others.
type stalls struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	All  []stall   `json:"all,omitempty"`
}

// add notes another one. Of too many, the oldest is forgotten, and all before it.
func (s *stalls) add(another stall) {
	s.All = append(s.All, another)
	slices.SortStableFunc(s.All, func(a, b stall) int { return a.After.Compare(b.After) })
	if over := len(s.All) - maxStalls; over > 0 {
		s.From = later(s.From, s.All[over-1].Until.Add(clocks))
		s.All = slices.Delete(s.All, 0, over)
	}
}

// heldUntil is until when a request that came at a moment may have waited; zero when it did not. What waited in one may wait in the next.
func (s *stalls) heldUntil(moment time.Time) (until time.Time) {
	for _, one := range s.All {
		ended := one.Until.Add(clocks)
		if moment.After(one.After.Add(-underWay)) && moment.Before(ended) {
			until, moment = ended, ended
		}
	}
	return until
}

// learn takes over what another replica knows of the time before this one began to watch, if the other watched still when it did. What is
// known is not learned again.
func (s *stalls) learn(other *stalls) {
	if !other.From.Before(s.From) || other.To.Before(s.From.Add(clocks)) {
		return
	}
	began := s.From
	s.From = other.From
	for _, one := range other.All {
		if one.After.Before(began) {
			s.add(one)
		}
	}
}

// watch is how this replica watches whether the API server stores.
type watch struct {
	// last is the last silence of this replica.
	last silence
	// known are the stalls of its own time, and those of earlier times of which others told.
	known stalls
}

// note notes whether a sign of life could be given, and when the API server had stored something, the last time before that.
func (w *watch) note(stored, began, ended time.Time, given bool) {
	switch lasts := w.lasts(); {
	case !given && !lasts:
		w.last = silence{from: began, stored: stored}
	case given && lasts:
		w.last.to = ended
		w.known.add(stall{After: w.last.stored, Until: ended})
	case given && ended.Sub(began) > slowSign:
		w.last = silence{from: began, to: ended, stored: stored}
		w.known.add(stall{After: stored, Until: ended})
	}
	if given {
		w.known.To = began
	}
}

func (w *watch) lasts() bool { return !w.last.from.IsZero() && w.last.to.IsZero() }

// Silence is how long no sign of life could be given, or one took, the last time that this was so, and for how long they could since; 0
// while they cannot.
func (p *Presence) Silence() (lasted, ago time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch last := p.watch.last; {
	case last.from.IsZero():
		return 0, 0
	case last.to.IsZero():
		return p.options.Clock.Since(last.from), 0
	default:
		return last.to.Sub(last.from), p.options.Clock.Since(last.to)
	}
}

// StalledUntil is until when a request that came at a moment, by some replica's clock, may have waited while the API server stored nothing;
// zero when it did not. A silence may have begun when the API server had stored its last, or on its way there.
func (p *Presence) StalledUntil(moment time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.watch.known
	if p.watch.lasts() {
		known.All = append(slices.Clip(known.All), stall{After: p.watch.last.stored, Until: p.options.Clock.Now()})
	}
	return known.heldUntil(moment)
}

// StallsKnown says whether StalledUntil knows of a moment: not of those before any replica watched that this one could ask.
func (p *Presence) StallsKnown(moment time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	from := p.watch.known.From
	return !from.IsZero() && !moment.Before(from)
}
