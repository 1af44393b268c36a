// Package metrics owns every metric of the operator: its name, help text and labels.
//
// It does not measure: the packages that do the work call its methods. Labels have few values; what grows with the
// cluster is only the trail's namespace and name, and a trail's series are removed with it.
package metrics
