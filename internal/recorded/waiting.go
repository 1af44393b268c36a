package recorded

import "time"

// requestTimeout is how long the API server takes for a request at most, waiting included: the default of its --request-timeout, after which
// it answers 504.
// https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/
const requestTimeout = time.Minute

// Waiting is what may have kept a change from being made at once when its event was stored.
type Waiting struct {
	// HeldUntil is until when the API server stored nothing, if it began to at about the time of the change, which may have waited until
	// then; zero when it did not.
	HeldUntil time.Time
	// Unwatched says that nobody here knows whether the API server stored anything at the time.
	Unwatched bool
	// MayBeKept is for how long other webhooks may have kept the request at most after this one had answered, and Kept is the same where they
	// were seen to be slow at about that time.
	MayBeKept, Kept time.Duration
	// Slow is how long storing events took at that time, at least, and SlowAgain how long it took when HeldUntil had passed.
	Slow, SlowAgain time.Duration
}

// Begun is a moment by which the API server had begun to store the change, if it was made and nothing else held it up.
func (e *Event) Begun() time.Time {
	if e.HeldUntil.After(e.Head.Time.Time) {
		return e.HeldUntil
	}
	return e.Head.Time.Time
}

// WaitedUntil is until when the change may have waited in the API server: HeldUntil, or for as long as a request may take where nobody knows
// of that; zero when it did not wait.
func (e *Event) WaitedUntil() time.Time {
	if e.Unwatched {
		return e.Head.Time.Add(requestTimeout)
	}
	return e.HeldUntil
}
