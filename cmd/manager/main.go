// Command manager is the Trailkeeper operator. `manager uninstall` stops the one that runs in the cluster.
package main

import (
	"flag"
	"fmt"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/trailkeeper/trailkeeper/internal/app"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "trailkeeper:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	do := app.Run
	if len(arguments) > 0 && arguments[0] == "uninstall" {
		do, arguments = app.Uninstall, arguments[1:]
	}
	var options app.Options
	options.BindFlags(flag.CommandLine)
	_ = flag.CommandLine.Parse(arguments) // It ends the process itself.
	if err := options.Validate(); err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	return do(ctrl.SetupSignalHandler(), config, options)
}
