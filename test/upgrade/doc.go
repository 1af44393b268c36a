// Package upgrade replaces an older build of the operator by this one, and this one by the older, replica by replica while changes
// are made: no change is refused, missed or lost from the chain. CRDs and rights are this build's, as they are upgraded first.
//
// The older build is the last tag, the commit named by TRAILKEEPER_UPGRADE_FROM, or else the first parent; it is compiled, so the
// test is part of `make soak` only.
package upgrade
