// Package observer watches the configurations of admission, which the API server sends to no webhook, and makes of what
// the watch shows the requests that it was not sent.
//
// A watch shows what became of an object and not who did it: the actor is unknown, and the latest field manager is a
// hint. What is there when it begins is where it begins: changes in a time without a leader cannot be told.
//
// It holds what it watches as it was last seen, without a bound of its own: 24 KB of the leader's memory for a configuration of
// 10 KB, so 24 MB for a thousand of them. The API server holds each of them too, on every replica, and compares it with every
// request, so there are not many more in a cluster that works; and whoever may make them may do anything.
package observer
