// Package rotation runs three replicas of the built operator whose certificates live for a minute or two, and shows under
// constant load that no change goes unrecorded and no connection fails while authorities and certificates are replaced.
//
// With TRAILKEEPER_SOAK=1 (make soak) it does so for longer.
package rotation
