// Package install installs and removes Trailkeeper as its users do: the Helm chart is compared with what config/default renders,
// both are given to a real API server, and the operator is uninstalled under load.
//
// It needs bin/helm (make helm), or another one that TRAILKEEPER_HELM names.
package install
