// Command manager is the Trailkeeper operator.
package main

import (
	"flag"
	"fmt"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/trailkeeper/trailkeeper/internal/app"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "trailkeeper:", err)
		os.Exit(1)
	}
}

func run() error {
	var options app.Options
	options.BindFlags(flag.CommandLine)
	flag.Parse()
	if err := options.Validate(); err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	return app.Run(ctrl.SetupSignalHandler(), config, options)
}
