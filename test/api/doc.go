// Package api holds the tests of what the cluster itself enforces: the CRDs' rules, the samples, the admission policies,
// the operator's rights and its priority. They run against a real control plane, without the operator.
package api
