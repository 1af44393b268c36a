// Package app puts the operator together: it reads the options, makes every part and hands it what it needs.
//
// It is the only place that knows all the parts, and it decides nothing about trails or events.
package app
