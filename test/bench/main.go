package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"

	"github.com/go-logr/logr"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/test/bench/scenario"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 && scenario.IsWebhook(args[0]) {
		return scenario.ServeWebhook(args[0], args[1:], os.Stdin, os.Stdout)
	}
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	short := flags.Bool("short", false, "measure little, to see that the benchmark works; targets then do not count")
	out := flags.String("out", "bin/bench.json", "the file for the figures")
	only := flags.String("run", "", "measure only the scenarios that match this regular expression")
	grown := flags.Int("grown", scenario.Full.Grown, "the longer of two backlogs whose memory is compared")
	backlog := flags.Int("backlog", scenario.Full.Backlog, "how many events a backlog has")
	pprof := flags.String("pprof", "", "where the manager serves its profiles while it is measured, such as 127.0.0.1:6060")
	_ = flags.Parse(args) // ExitOnError: it does not return.
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("--run: %w", err)
	}
	size := scenario.Full
	size.Grown, size.Backlog = *grown, *backlog
	if *short {
		size = scenario.Short
	}
	if *pprof != "" {
		size.ManagerArgs = []string{"--pprof-bind-address=" + *pprof}
	}
	logf.SetLogger(logr.Discard()) // Libraries complain when nobody takes their logs.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	figures, err := scenario.Run(ctx, size, wanted.MatchString, os.Stderr)
	if figures != nil {
		if err := figures.WriteMarkdown(os.Stdout); err != nil {
			return err
		}
	}
	if figures != nil {
		err = errors.Join(err, figures.WriteJSON(*out))
	}
	if err != nil {
		return err
	}
	if missed := figures.Missed(); len(missed) > 0 && !*short {
		return fmt.Errorf("%d targets are missed", len(missed))
	}
	return nil
}
