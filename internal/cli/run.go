package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Exit codes of the plugin.
const (
	// ExitSucceeded is that the command did what it was asked for.
	ExitSucceeded = 0
	// ExitFailed is that the command could not do it.
	ExitFailed = 1
	// ExitWrong is that verify or doctor did their work, and found that something is wrong.
	ExitWrong = 2
)

// errWrong is returned by a command that has already said what is wrong.
var errWrong = errors.New("something is wrong")

// Terminal is where a command writes, and what it may do there.
type Terminal struct {
	// Out takes what was asked for, and Err what is said beside it.
	Out, Err io.Writer
	// Screen says that Out is shown to somebody, and not kept in a file or read by a program.
	Screen bool
	// Colour says that Out shows colours.
	Colour bool
	// Interactive says that somebody watches Err: progress may be shown there.
	Interactive bool
	// Clock is the time of day.
	Clock clock.PassiveClock
}

// System is the terminal in which the program runs. Colours are left out when Out is no terminal, when NO_COLOR has any
// value (https://no-color.org), and on terminals that say that they are dumb.
func System() Terminal {
	screen := term.IsTerminal(int(os.Stdout.Fd()))
	return Terminal{
		Out: os.Stdout, Err: os.Stderr, Clock: clock.RealClock{}, Screen: screen,
		Colour:      screen && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
		Interactive: term.IsTerminal(int(os.Stderr.Fd())) && os.Getenv("TERM") != "dumb",
	}
}

// Run runs the plugin with its arguments, and returns its exit code. What went wrong is written to the terminal.
func Run(ctx context.Context, terminal Terminal, args []string) int {
	// Libraries of controllers want to know where to log; the plugin says what there is to say itself.
	log.SetLogger(logr.Discard())
	command := newCommand(terminal) //nolint:contextcheck // Each command takes the context that cobra gives it.
	command.SetArgs(args)
	err := command.ExecuteContext(ctx)
	switch {
	case err == nil:
		return ExitSucceeded
	case errors.Is(err, errWrong):
		return ExitWrong
	case ctx.Err() != nil: // Whoever pressed Ctrl-C knows.
		return ExitFailed
	default:
		_, _ = fmt.Fprintln(terminal.Err, "Error:", plain(err.Error()))
		var advised *advisedError
		if errors.As(err, &advised) {
			_, _ = fmt.Fprintln(terminal.Err, "→", plain(advised.advice))
		}
		return ExitFailed
	}
}

// newCommand is the plugin with all its commands.
func newCommand(terminal Terminal) *cobra.Command {
	s := newSession(terminal)
	root := &cobra.Command{
		Use:   "kubectl-trail",
		Short: "Read and check the audit trails of a cluster",
		Long: `Reads and checks the audit trails of a cluster, with your own rights: those of your kubeconfig in the cluster, and those
of your AWS credentials for what was pushed to CloudWatch Logs.`,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl trail"},
		SilenceErrors: true, // Run writes them, escaped.
		SilenceUsage:  true,
	}
	root.SetOut(terminal.Out)
	root.SetErr(terminal.Err)
	s.bind(root)
	root.AddCommand(
		s.eventsCommand(), s.showCommand(), s.historyCommand(), s.noteCommand(), s.exportCommand(),
		s.verifyCommand(), s.explainCommand(), s.doctorCommand(), s.consoleCommand(),
	)
	return root
}
