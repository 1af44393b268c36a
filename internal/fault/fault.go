package fault

import (
	"errors"
	"time"
)

// Error is an error with a class and the reason that a condition shows for it.
//
// Its text goes into status, so it is fixed: the same cause always has the same text, without request ids, times or
// anything secret. Otherwise every retry would be a change of status.
type Error struct {
	// Reason is the condition reason, one of the constants of the API package.
	Reason string
	// Terminal says that only a change of the spec helps.
	Terminal bool
	// After is the earliest useful time for another attempt; 0 leaves it to the caller.
	After time.Duration

	err error
}

// Error is the fixed text.
func (e *Error) Error() string { return e.err.Error() }

// Unwrap gives the error that was classified.
func (e *Error) Unwrap() error { return e.err }

// Terminal classifies err as one that waits for the spec to change. The text of err must be fixed; see Text.
func Terminal(reason string, err error) error {
	return &Error{Reason: reason, Terminal: true, err: err}
}

// Wait classifies err as one that waits for something else than the spec, to be looked at again after the given time
// (0: the caller's choice). The text of err must be fixed; see Text.
func Wait(reason string, after time.Duration, err error) error {
	return &Error{Reason: reason, After: after, err: err}
}

// As finds the classification in err's tree. An error without one is transient.
func As(err error) (*Error, bool) {
	var found *Error
	ok := errors.As(err, &found)
	return found, ok
}

// ReasonOf is the reason of the classification in err's tree, or "" when there is none.
func ReasonOf(err error) string {
	if found, ok := As(err); ok {
		return found.Reason
	}
	return ""
}

// Text gives cause another, fixed text. errors.Is and errors.As still find the cause.
func Text(text string, cause error) error {
	return &texted{text: text, cause: cause}
}

type texted struct {
	text  string
	cause error
}

func (t *texted) Error() string { return t.text }
func (t *texted) Unwrap() error { return t.cause }
