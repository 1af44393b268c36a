// Command kubectl-trail is the kubectl plugin: kubectl runs it as `kubectl trail`. See docs/kubectl-trail.md.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/trailkeeper/trailkeeper/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, cli.System(), os.Args[1:])
	stop()
	os.Exit(code)
}
