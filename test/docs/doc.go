// Package docs holds the commands that the documentation shows against what there is: each block is one that bash reads, what is
// named in it exists, and those that need no AWS and no nodes are run, in their order, beside a real API server and the operator.
package docs
