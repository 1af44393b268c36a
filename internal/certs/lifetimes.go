package certs

import "time"

// Lifetimes say how long certificates are valid. Both kinds are renewed after two thirds.
type Lifetimes struct {
	// Authority is for how long an authority is valid: a year when zero.
	Authority time.Duration
	// Serving is for how long a serving certificate is valid: a week when zero.
	Serving time.Duration
}

// DefaultLifetimes are those of the zero value.
var DefaultLifetimes = Lifetimes{Authority: 365 * 24 * time.Hour, Serving: 7 * 24 * time.Hour}

const (
	longestPublishDelay  = 24 * time.Hour
	longestCheckInterval = time.Minute
)

func (l Lifetimes) orDefaults() Lifetimes {
	if l.Authority == 0 {
		l.Authority = DefaultLifetimes.Authority
	}
	if l.Serving == 0 {
		l.Serving = DefaultLifetimes.Serving
	}
	return l
}

// publishDelay is how long a new authority is only in the bundle before it signs: see authorities.signer. It is a quarter of
// what is left to the authority before it at most.
func (l Lifetimes) publishDelay() time.Duration { return min(longestPublishDelay, l.Authority/12) }

// checkInterval is how often the Secret is read: how long a change by another replica goes unseen.
func (l Lifetimes) checkInterval() time.Duration {
	return min(longestCheckInterval, l.publishDelay()/10, l.Serving/20)
}
