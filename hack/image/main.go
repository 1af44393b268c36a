// Command image packs the operator's binaries into a multi-arch OCI image, without a container tool, and pushes it. What goes in
// is all that comes out: the same binaries, name, revision and time give the same bytes.
//
//	image build -out FOLDER -name NAME:TAG -revision REVISION -created TIME ARCH=BINARY...
//	image push -tar FILE NAME:TAG
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"
)

// pushTimeout bounds a push to a registry.
const pushTimeout = 10 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1) //nolint:gocritic // The context needs no end when the process has one.
	}
}

func run(ctx context.Context, arguments []string, out io.Writer) error {
	if len(arguments) > 0 && arguments[0] == "build" {
		return runBuild(arguments[1:], out)
	}
	if len(arguments) > 0 && arguments[0] == "push" {
		return runPush(ctx, arguments[1:], out)
	}
	return errors.New("say build or push")
}

func runBuild(arguments []string, out io.Writer) error {
	var s source
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	folder := flags.String("out", "", "the folder to write to")
	created := flags.String("created", "", "the commit's time, such as 2026-11-28T03:00:00Z")
	flags.StringVar(&s.name, "name", "", "the image's name and tag")
	flags.StringVar(&s.revision, "revision", "", "the commit")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	var err error
	if s.created, err = time.Parse(time.RFC3339, *created); err != nil {
		return fmt.Errorf("-created: %w", err)
	}
	for _, argument := range flags.Args() {
		architecture, path, ok := strings.Cut(argument, "=")
		if !ok {
			return fmt.Errorf("%q: give ARCH=BINARY", argument)
		}
		s.binaries = append(s.binaries, binary{architecture: architecture, path: path})
	}
	if *folder == "" || s.name == "" || s.revision == "" || len(s.binaries) == 0 {
		return errors.New("give -out, -name, -revision, -created and at least one ARCH=BINARY")
	}
	digest, err := s.write(*folder)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s@%s\n", s.name, digest)
	return err
}

func runPush(ctx context.Context, arguments []string, out io.Writer) error {
	flags := flag.NewFlagSet("push", flag.ContinueOnError)
	tar := flags.String("tar", "", "the image that build wrote")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if *tar == "" || flags.NArg() != 1 {
		return errors.New("give -tar and one NAME:TAG")
	}
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	digest, err := push(ctx, *tar, flags.Arg(0))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s@%s\n", flags.Arg(0), digest)
	return err
}
