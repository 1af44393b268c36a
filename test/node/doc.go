// Package node installs the operator's image by Helm on a cluster with real nodes, and goes through its life there: recording
// through the Service, roll-out, a drained node, a killed pod, rotated certificates, uninstalling and installing again. Changes are
// made all the while, under a trail that refuses what cannot be recorded.
//
// `make e2e` runs it, with KUBECONFIG and the image loaded; otherwise it is skipped. The cluster should be there for this: the
// test installs cluster-wide objects and removes them. AWS is the simulator, in the test's own process, which pods must be able
// to reach: at TRAILKEEPER_E2E_ADDRESS, or at this machine's address in the network of the first node.
package node
