// Package patch writes the parts of an AuditTrail that one owner has, and leaves the parts of others alone.
//
// A trail's status has two writers: the trail controller (conditions, identity, destination) and delivery
// (status.delivery and the condition Delivering). Conditions are one list, and a merge patch would replace the whole
// list, so each writer uses server-side apply under its own field owner: the API server merges the list by type, and
// a field that its owner stops sending disappears.
package patch
