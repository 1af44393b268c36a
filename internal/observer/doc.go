// Package observer watches the configurations of admission, which the API server sends to no webhook, and makes of what
// the watch shows the requests that it was not sent.
//
// A watch shows what became of an object and not who did it: the actor is unknown, and the latest field manager is a
// hint. What is there when it begins is where it begins: changes in a time without a leader cannot be told.
package observer
