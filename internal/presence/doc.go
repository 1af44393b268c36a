// Package presence keeps on one Lease which replicas record, and finds the windows in which none did.
//
// Every replica renews an entry of its own every two seconds, and marks it when it stops in good order. A replica that
// starts waits until it knows which of the others are alive, and accounts for the time up to its own start: a window
// that nobody covered is told once, whichever replicas start at the same time.
//
// It also says since when somebody recorded without a break, and when no sign of life could be given: replicas tell each
// other of such times, so that one that starts knows of those before it.
//
// It decides nothing about trails; who wants to know of a window is for the caller to tell.
package presence
