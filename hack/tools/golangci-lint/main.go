// Command golangci-lint is golangci-lint with the linter for Kubernetes API types (kube-api-linter) compiled in.
//
// `golangci-lint custom` makes the same program, but clones golangci-lint's repository to do it. This one needs the
// modules that go.mod pins and nothing else.
package main

import (
	"fmt"
	"os"

	"github.com/golangci/golangci-lint/v2/pkg/commands"
	"github.com/golangci/golangci-lint/v2/pkg/exitcodes"
	// Registers the plugin "kubeapilinter".
	_ "sigs.k8s.io/kube-api-linter"
)

func main() {
	info := commands.BuildInfo{GoVersion: "go", Version: "pinned", Commit: "none", Date: "unknown"}
	if err := commands.Execute(info); err != nil {
		fmt.Fprintf(os.Stderr, "Running golangci-lint: %v\n", err)
		os.Exit(exitcodes.Failure)
	}
}
