// Package outcome judges whether changes stuck, from their events, from what else was recorded, and from what their objects show. Given those
// it decides without a cluster: see docs/adr/0002-evidence.md and docs/adr/0004-one-change-validated-twice.md.
//
// A Judge judges the events of one trail, in their order, a batch at a time: All looks at objects where the events alone do not tell, and
// Again decides once more by what was recorded meanwhile.
package outcome
