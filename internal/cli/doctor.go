package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// verdict is what a check came to.
type verdict int

const (
	good verdict = iota
	// skipped is that the user may not look.
	skippedCheck
	doubtful
	bad
)

// finding is what one check found, and what to do about it.
type finding struct {
	verdict verdict
	// what was looked at, and what was found.
	what, found string
	// remedy is what to do, where something is wrong.
	remedy string
}

// examination is what the checks look at.
type examination struct {
	*session
	client  client.Client
	clients kubernetes.Interface
}

// check looks at one thing; it returns as many findings as there is something to say.
type check func(*examination, context.Context) []finding

// checks in the order of dependence: what comes first explains what comes later.
var checks = []check{
	(*examination).api,
	(*examination).ownRights,
	(*examination).replicas,
	(*examination).operatorRights,
	(*examination).policies,
	(*examination).priority,
	(*examination).webhook,
	(*examination).endpoint,
	(*examination).trails,
}

func (s *session) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what keeps changes from being recorded and delivered, and what to do about it",
		Long: `Looks at everything that recording and delivery depend on: the API, rights, replicas, protecting policies, priority, the webhook
with its certificate, and the conditions of every trail that you may read. What you may not look at is said to be skipped. The
exit code is 2 when something is broken.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return s.doctor(command.Context()) },
	}
}

func (s *session) doctor(ctx context.Context) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	config, err := s.config()
	if err != nil {
		return err
	}
	config.Timeout = requestTimeout
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("reaching the API server: %w", err)
	}
	e := &examination{session: s, client: c, clients: clients}
	worst := good
	for _, check := range checks {
		for _, f := range check(e, ctx) {
			s.printFinding(f)
			worst = max(worst, f.verdict)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if worst == bad {
		return errWrong
	}
	return nil
}

func (s *session) printFinding(f finding) {
	label := map[verdict]string{
		good: s.paint(green, "OK  "), skippedCheck: s.paint(faint, "SKIP"), doubtful: s.paint(yellow, "WARN"), bad: s.paint(red, "FAIL"),
	}[f.verdict]
	s.printf("%s  %-10s  %s\n", label, f.what, plain(f.found))
	if f.remedy != "" {
		s.printf("                  → %s\n", plain(f.remedy))
	}
}

// one is a single finding.
func one(v verdict, what, remedy, format string, args ...any) []finding {
	return []finding{{verdict: v, what: what, found: fmt.Sprintf(format, args...), remedy: remedy}}
}
