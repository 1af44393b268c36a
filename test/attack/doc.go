// Package attack runs the built operator as its own service account and lets somebody who may do everything in one namespace
// try to silence, forge and read what is recorded there and elsewhere. Each attempt's answer is asserted, and so is whether
// the trails tell of it.
package attack
