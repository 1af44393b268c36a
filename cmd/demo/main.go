// Command demo shows Trailkeeper on one machine: a control plane, CloudWatch Logs (the project's simulator), and the
// operator as its own service account, with changes by two users that become AuditEvents and arrive.
//
// It shows nothing that did not happen: with --once it checks all of it and fails otherwise. It leaves nothing behind and
// never calls AWS.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

func main() {
	once := flag.Bool("once", false, "check what was shown and end, instead of staying up until interrupted")
	flag.Parse()
	log.SetLogger(zap.New(zap.WriteTo(io.Discard))) // The demo's own clients have nothing to tell.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the program at once; the kernel then ends what it started.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Stdout, *once); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run is the demo from its beginning to its end.
func run(ctx context.Context, out io.Writer, once bool) (err error) {
	s := &stage{out: out}
	defer func() {
		s.say("\nStopping the operator and the control plane")
		err = errors.Join(err, s.close())
	}()
	err = s.play(ctx, once)
	switch {
	case ctx.Err() == nil:
		return err
	case once:
		return errors.New("interrupted before everything was checked")
	default:
		return nil // Being interrupted is how it ends.
	}
}

func (s *stage) play(ctx context.Context, once bool) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	if err := s.applySamples(ctx); err != nil {
		return err
	}
	if err := s.makeChanges(ctx); err != nil {
		return err
	}
	checked := s.check(ctx)
	if err := errors.Join(checked, s.show(ctx)); err != nil {
		s.showLog()
		return err
	}
	if once {
		return nil
	}
	s.invite()
	s.follow(ctx)
	return nil
}
